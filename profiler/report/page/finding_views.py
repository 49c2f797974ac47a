"""What the page shows of peers and documents: the steps from our number to theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.escaping import plain, shorten
from profiler.report import finding_tables
from profiler.values.findings import TOTAL, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.findings import Finding

_LONGEST = 600


def peer_views(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the totals that peers claim, those that differ first."""
    totals = [f for f in findings if not f.claim.id and f.claim.subject == TOTAL]
    return [_view(finding) for finding in sorted(totals, key=lambda f: (_rank(f), f.claim.source, f.claim.unit))]


def claim_views(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the claims of documents about the model, those that are wrong first."""
    claims = [f for f in findings if f.claim.id]
    return [_view(finding) for finding in sorted(claims, key=_rank)]


def _rank(finding: Finding) -> int:
    order = (Verdict.UNEXPLAINED, Verdict.CONTRADICTED, Verdict.FAILED, Verdict.EXPLAINED)
    return order.index(finding.verdict) if finding.verdict in order else len(order)


def _view(finding: Finding) -> dict[str, Any]:
    claim = finding.claim
    return {
        "source": _short(claim.source),
        "version": _short(claim.version),
        "id": _short(claim.id),
        "subject": _short(claim.subject),
        "unit": claim.unit,
        "verdict": finding.verdict.value,
        "error": _short(claim.error),
        "claimed": "" if claim.claimed is None else finding_tables.number(claim.claimed),
        "ours": finding_tables.number(finding.ours),
        "difference": finding_tables.signed(finding.difference),
        "unexplained": finding_tables.signed(finding.unexplained),
        "steps": _steps(finding),
    }


def _steps(finding: Finding) -> list[dict[str, Any]]:
    """Return the causes, largest first, then what is unexplained, as steps from our number towards the claimed one."""
    if finding.claim.claimed is None:
        return []
    causes = sorted(finding.causes, key=lambda cause: -abs(float(cause.amount)))
    steps = [
        {
            "code": _short(cause.code),
            "amount": -float(cause.amount),
            "text": finding_tables.signed(cause.amount),
            "why": _short(cause.why),
            "where": _short(finding_tables.places(cause)) if any(cause.modules) else "",
            "modules": len(cause.modules),
        }
        for cause in causes
    ]
    if finding.unexplained:
        rest = {"code": "unexplained", "amount": -float(finding.unexplained), "why": "no cause is known", "where": ""}
        steps.append({**rest, "text": finding_tables.signed(finding.unexplained), "modules": 0})
    return steps


def _short(text: str) -> str:
    return shorten(plain(text), _LONGEST)
