"""Findings as rows of a saved profile, and back.

The causes of a module's finding are usually those of the total, restricted to the module. Their contributions are then
saved with the total alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from profiler.tally.schema_model import SchemaModel
from profiler.values.findings import TOTAL, Cause, CauseKind, Claim, Contribution, Finding, as_number, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    #: By source, version and unit of the claim.
    CausesOfTotals = dict[tuple[str, str, str], tuple[Cause, ...]]


class CauseRow(SchemaModel):
    """A named part of a difference: ours minus theirs."""

    code: str
    kind: str
    amount: int | float
    why: str
    modules: list[str]
    #: Module, operator and amount of each contribution; empty where they are those of the total's cause.
    shares: list[tuple[str, str, int | float]] = Field(default_factory=list)


class FindingRow(SchemaModel):
    """A claim, our own number, and the causes of their difference."""

    source: str
    version: str
    subject: str
    unit: str
    claimed: int | float | None
    ours: int | float
    causes: list[CauseRow]
    unexplained: int | float
    verdict: str
    error: str = ""
    #: The id of the claim in its document; empty for a peer.
    id: str = ""


def finding_rows(findings: tuple[Finding, ...]) -> list[FindingRow]:
    """Return findings as rows, in which each contribution is written once."""
    totals = _causes_of_totals(findings)
    return [_row(f, contributions=f.claim.subject == TOTAL or f.causes != _in_total(f.claim, totals)) for f in findings]


def findings_of(rows: Iterable[FindingRow]) -> tuple[Finding, ...]:
    """Return the findings in rows; difference, rest and verdict are computed again."""
    findings = [Finding(_claim(row), row.ours, tuple(map(_cause, row.causes))) for row in rows]
    totals = _causes_of_totals(findings)
    return tuple(
        Finding(f.claim, f.ours, _in_total(f.claim, totals)) if f.causes and not f.causes[0].contributions else f
        for f in findings
    )


def _causes_of_totals(findings: Iterable[Finding]) -> CausesOfTotals:
    return {_key(f.claim): f.causes for f in findings if f.claim.subject == TOTAL}


def _in_total(claim: Claim, totals: CausesOfTotals) -> tuple[Cause, ...]:
    return within(totals.get(_key(claim), ()), claim.subject)


def _key(claim: Claim) -> tuple[str, str, str]:
    return claim.source, claim.version, claim.unit


def _row(finding: Finding, *, contributions: bool) -> FindingRow:
    claim = finding.claim
    return FindingRow(
        source=claim.source,
        version=claim.version,
        subject=claim.subject,
        unit=claim.unit,
        claimed=None if claim.claimed is None else as_number(claim.claimed),
        ours=as_number(finding.ours),
        causes=[_cause_row(cause, contributions=contributions) for cause in finding.causes],
        unexplained=finding.unexplained,
        verdict=finding.verdict.value,
        error=claim.error,
        id=claim.id,
    )


def _cause_row(cause: Cause, *, contributions: bool) -> CauseRow:
    return CauseRow(
        code=cause.code,
        kind=cause.kind.value,
        amount=cause.amount,
        why=cause.why,
        modules=list(cause.modules),
        shares=[(s.module, s.operator, as_number(s.amount)) for s in cause.contributions] if contributions else [],
    )


def _claim(row: FindingRow) -> Claim:
    return Claim(row.source, row.version, row.subject, row.unit, row.claimed, row.error, row.id)


def _cause(row: CauseRow) -> Cause:
    return Cause(row.code, CauseKind(row.kind), row.why, tuple(Contribution(*share) for share in row.shares))
