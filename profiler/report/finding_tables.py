"""What other counters say: a table of them, and under it the causes of each difference in plain words."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from profiler import units
from profiler.report.tables import WIDTH, table
from profiler.values.findings import TOTAL, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from profiler.report.tables import Side
    from profiler.values.findings import Cause, Exact, Finding

COLUMNS: Mapping[str, Side] = {
    "peer": "left", "unit": "left", "claims": "right", "ours": "right", "difference": "right", "verdict": "left",
}  # fmt: skip
LEGEND = "difference: ours less theirs; + is what a peer leaves out, − what it adds or counts twice"
_NAMED = 3
_SHORT = {"parameter": "param"}


def text(findings: tuple[Finding, ...], width: int = WIDTH) -> str:
    """Write the table and the causes, eighty columns wide."""
    parts = [table(COLUMNS, summary(findings), width), textwrap.fill(LEGEND, width)]
    for finding in _totals(findings):
        lines = [_wrapped(line, width) for line in story(finding, findings)]
        if lines:
            parts.append("\n".join([heading(finding), *lines]))
    return "\n\n".join(parts)


def summary(findings: tuple[Finding, ...]) -> list[tuple[str, ...]]:
    """List the totals: who claims what, and what we count."""
    rows: list[tuple[str, ...]] = []
    for finding in _totals(findings):
        claim = finding.claim
        failed = finding.verdict is Verdict.FAILED
        numbers = ("", "") if failed or claim.claimed is None else (number(claim.claimed), signed(finding.difference))
        unit = _SHORT.get(claim.unit, claim.unit)
        rows.append((claim.source, unit, numbers[0], number(finding.ours), numbers[1], finding.verdict.value))
    return rows


def heading(finding: Finding) -> str:
    """Name a peer as it answered."""
    claim = finding.claim
    return f"{claim.source} ({claim.version}), {claim.unit}"


def story(finding: Finding, findings: tuple[Finding, ...]) -> Iterator[str]:
    """Say why a total differs, largest cause first; what is left; and how its modules stand."""
    if finding.verdict is Verdict.FAILED:
        yield f"failed: {finding.claim.error}"
        return
    for cause in finding.causes:
        if not cause.amount:
            yield f"±0  {cause.code}  {cause.why}: only between modules"
            continue
        yield f"{signed(cause.amount)}  {cause.code}  {cause.why}: {places(cause)}"
    if finding.unexplained:
        yield f"{signed(finding.unexplained)}  unexplained"
    yield from _modules(finding, findings)


def places(cause: Cause) -> str:
    """Say in which operators and modules a cause arises, the largest first."""
    return f"{_named(_sums((s.operator, s.amount) for s in cause.contributions))} in {_modules_named(cause)}"


def number(value: Exact) -> str:
    """Write every digit.

    Example:
        >>> number(11_689_512), number(2.5)
        ('11,689,512', '2.5')
    """
    return units.exact(int(value)) if value == int(value) else f"{float(value):,}"


def signed(value: Exact) -> str:
    """Write a difference with its sign.

    Example:
        >>> signed(1_500), signed(-1), signed(0)
        ('+1,500', '−1', '0')
    """
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{number(-value if value < 0 else value)}"


def _totals(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.claim.subject == TOTAL]


def _modules(whole: Finding, findings: tuple[Finding, ...]) -> Iterator[str]:
    """Say how many modules are compared, and in which a rest is left."""
    inside = [f for f in findings if _same(f, whole) and f.claim.subject != TOTAL]
    left = [f for f in inside if f.unexplained]
    if inside and not left and whole.causes:
        yield f"{len(inside)} modules compared, nothing left over in any"
    for finding in left[:_NAMED]:
        yield f"{signed(finding.unexplained)}  unexplained at {finding.claim.subject}"
    if len(left) > _NAMED:
        yield f"and a rest in {len(left) - _NAMED} more of {len(inside)} modules"


def _same(finding: Finding, whole: Finding) -> bool:
    return (finding.claim.source, finding.claim.unit) == (whole.claim.source, whole.claim.unit)


def _sums(parts: Iterable[tuple[str, Exact]]) -> list[tuple[str, Exact]]:
    """Add up what has the same name, the largest first."""
    sums: dict[str, Exact] = {}
    for name, amount in parts:
        sums[name] = sums.get(name, 0) + amount
    return sorted(sums.items(), key=lambda item: -abs(float(item[1])))


def _named(sums: list[tuple[str, Exact]]) -> str:
    if len(sums) == 1:
        return sums[0][0]
    named = ", ".join(f"{name} {signed(amount)}" for name, amount in sums[:_NAMED])
    return named + (f" and {len(sums) - _NAMED} more" if len(sums) > _NAMED else "")


def _modules_named(cause: Cause) -> str:
    """Name the modules where most of a cause arises; those whose names differ in a number together.

    ``layer1.0.bn1`` and ``layer2.1.bn1`` are ``layer*.*.bn1 (2)``.
    """
    alike: dict[str, list[str]] = {}
    for name, _ in _sums((s.module, s.amount) for s in cause.contributions):
        alike.setdefault(re.sub(r"\d+", "*", name), []).append(name or "the model itself")
    named = [f"{stem} ({len(names)})" if len(names) > 1 else names[0] for stem, names in alike.items()]
    hidden = sum(map(len, list(alike.values())[_NAMED:]))
    more = f" and {hidden} more module{'s' if hidden > 1 else ''}" if hidden else ""
    return ", ".join(named[:_NAMED]) + more


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
