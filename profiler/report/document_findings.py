"""The claims of documents about the model of a report, as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from profiler import units
from profiler.values.findings import TOTAL, CauseKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.findings import Exact, Finding


def text(target: str, findings: Iterable[Finding], width: int = 80) -> str:
    """Return the claims about a target: those that its profile settles with their verdict, the others by name.

    A profile that was not compared with documents has none.

    Args:
        target: The model, as on the command line.
        findings: The findings of its profile; those about peers are skipped.
        width: The longest line.
    """
    settled = [finding for finding in findings if finding.claim.id]
    if not settled:
        return ""
    from profiler.documents.target_claims import claims_about  # noqa: PLC0415 - reads the documents

    lines = [_line(finding) for finding in settled]
    names = {(finding.claim.source, finding.claim.id) for finding in settled}
    others = [claim.id for document, claim in claims_about(target) if (document.id, claim.id) not in names]
    if others:
        lines.append(f"{', '.join(others)}: see `python -m profiler verify --claim {others[0]}`")
    return "\n".join(["Claims of documents about it:", *(_wrap(line, width) for line in lines)])


def _wrap(line: str, width: int) -> str:
    return textwrap.fill(
        line, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
    )


def _line(finding: Finding) -> str:
    claim = finding.claim
    subject = f" ({claim.subject})" if claim.subject != TOTAL else ""
    causes = "".join(
        f"; {_short(cause.amount, claim.unit)} {cause.kind.value}: {cause.why}"
        for cause in finding.causes
        if cause.kind is not CauseKind.ROUNDING
    )
    rest = f"; {_short(finding.unexplained, claim.unit)} unexplained" if finding.unexplained else ""
    numbers = f"Claimed {_short(claim.claimed or 0, claim.unit)}, measured {_short(finding.ours, claim.unit)}"
    return f"{claim.id}{subject} {finding.verdict.value}: {_sentence(finding)} {numbers}{causes}{rest}"


def _sentence(finding: Finding) -> str:
    """Return the claim as a sentence."""
    from profiler.documents import documents  # noqa: PLC0415 - as above

    claims = (
        claim for document in documents().values() if document.id == finding.claim.source for claim in document.claims
    )
    return next((claim.says for claim in claims if claim.id == finding.claim.id), "")


def _short(value: Exact, unit: str) -> str:
    """Format an amount with four digits and a prefix.

    Example:
        >>> _short(-1_500_000, "FLOP")
        '−1.500 MFLOP'
    """
    sign = "−" if value < 0 else ""
    size = abs(float(value))
    return sign + (units.count(round(size), unit) if size >= 1 else units.with_unit(units.rounded(size), unit))
