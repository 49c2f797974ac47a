"""What documents say of the model of a report."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from profiler import units
from profiler.documents import documents
from profiler.documents.about_target import about
from profiler.values.findings import TOTAL, CauseKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.findings import Exact, Finding


def text(target: str, findings: Iterable[Finding], width: int = 80) -> str:
    """Write the claims about a target: those that are settled with their verdict, and where the others are."""
    settled = [finding for finding in findings if finding.claim.id]
    lines = [_line(finding) for finding in settled]
    known = {(finding.claim.source, finding.claim.id) for finding in settled}
    others = [claim.id for document, claim in about(target) if (document.id, claim.id) not in known]
    if others:
        lines.append(f"{', '.join(others)}: see `python -m profiler verify --claim {others[0]}`")
    if not lines:
        return ""
    return "\n".join(["What documents say of it:", *(_wrapped(line, width) for line in lines)])


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(
        line, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def _line(finding: Finding) -> str:
    claim = finding.claim
    part = f" ({claim.subject})" if claim.subject != TOTAL else ""
    named = [c for c in finding.causes if c.kind is not CauseKind.ROUNDING]
    causes = "".join(f"; {_short(c.amount, claim.unit)} {c.kind.value}: {c.why}" for c in named)
    left = f"; {_short(finding.unexplained, claim.unit)} unexplained" if finding.unexplained else ""
    said = f"said {_short(claim.claimed or 0, claim.unit)}, found {_short(finding.ours, claim.unit)}"
    return f"{claim.id}{part} {finding.verdict.value}: {_says(finding)} {said}{causes}{left}"


def _says(finding: Finding) -> str:
    claims = (c for d in documents().values() if d.id == finding.claim.source for c in d.claims)
    return next((c.says for c in claims if c.id == finding.claim.id), "")


def _short(value: Exact, unit: str) -> str:
    """Write an amount with four digits and a prefix.

    Example:
        >>> _short(-1_500_000, "FLOP")
        '−1.500 MFLOP'
    """
    sign = "−" if value < 0 else ""
    size = abs(float(value))
    return sign + (units.count(round(size), unit) if size >= 1 else f"{units.rounded(size)} {unit}".rstrip())
