"""What documents say of the model of a report."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from profiler.documents import documents
from profiler.documents.about import about
from profiler.report.findings import number, signed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.claims import Finding


def text(target: str, findings: Iterable[Finding], width: int = 80) -> str:
    """Write the claims about a target: those that are settled with their verdict, and where the others are."""
    settled = [finding for finding in findings if finding.claim.id]
    lines = [_line(finding) for finding in settled]
    known = {(finding.claim.source, finding.claim.id) for finding in settled}
    others = [claim.id for document, claim in about(target) if (document.id, claim.id) not in known]
    if others:
        lines.append(f"{', '.join(others)}: see `python -m profiler verify --claim {others[0]}`")
    return (
        "\n".join(
            ["What documents say of it:"]
            + [
                textwrap.fill(line, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
                for line in lines
            ]
        )
        if lines
        else ""
    )


def _line(finding: Finding) -> str:
    claim = finding.claim
    causes = "; ".join(f"{signed(cause.amount)} {cause.kind.value}: {cause.why}" for cause in finding.causes)
    left = f"; {signed(finding.unexplained)} unexplained" if finding.unexplained else ""
    said = next(
        (c.says for d in documents().values() if d.id == claim.source for c in d.claims if c.id == claim.id), ""
    )
    claimed = number(claim.claimed) if claim.claimed is not None else "nothing"
    numbers = f"{claimed} {claim.unit} is said, {number(finding.ours)} found"
    return f"{claim.id}: {said} {finding.verdict.value}: {numbers}{'; ' + causes if causes else ''}{left}"
