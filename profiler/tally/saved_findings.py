"""Findings as rows of a saved profile, and back.

The causes of a module's finding are, as a rule, those of the whole that arise in it: then their shares stand with the
whole alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from profiler.tally.schema_model import SchemaModel
from profiler.values.findings import TOTAL, Cause, CauseKind, Claim, Contribution, Finding, as_number, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    Wholes = dict[tuple[str, str, str], tuple[Cause, ...]]


class CauseRow(SchemaModel):
    """A named part of a difference: ours minus theirs."""

    code: str
    kind: str
    amount: int | float
    why: str
    modules: list[str]
    #: Module, operator and amount of each part; none where they are those of the whole's cause in this module.
    shares: list[tuple[str, str, int | float]] = Field(default_factory=list)


class FindingRow(SchemaModel):
    """A claim beside our own number, and the causes of their difference."""

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
    #: The claim's name in its document; empty for a peer's.
    id: str = ""


def finding_rows(findings: tuple[Finding, ...]) -> list[FindingRow]:
    """Write findings, the shares of each cause once."""
    wholes = _wholes(findings)
    return [_row(f, contributions=f.claim.subject == TOTAL or f.causes != _in_whole(f.claim, wholes)) for f in findings]


def findings_of(rows: Iterable[FindingRow]) -> tuple[Finding, ...]:
    """Read findings back; what follows from their numbers is computed anew."""
    read = [Finding(_claim(row), row.ours, tuple(map(_cause, row.causes))) for row in rows]
    wholes = _wholes(read)
    return tuple(
        Finding(f.claim, f.ours, _in_whole(f.claim, wholes)) if f.causes and not f.causes[0].contributions else f
        for f in read
    )


def _wholes(findings: Iterable[Finding]) -> Wholes:
    """Give the causes of the totals."""
    return {_key(f.claim): f.causes for f in findings if f.claim.subject == TOTAL}


def _in_whole(claim: Claim, wholes: Wholes) -> tuple[Cause, ...]:
    return within(wholes.get(_key(claim), ()), claim.subject)


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
