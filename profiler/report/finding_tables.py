"""Findings about peers as text: a table of claims, and below it the causes of each difference."""

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
    """Return the table and the causes, at most *width* columns wide."""
    parts = [table(COLUMNS, summary(findings), width), textwrap.fill(LEGEND, width)]
    for finding in _totals(findings):
        lines = [_wrapped(line, width) for line in story(finding, findings)]
        if lines:
            parts.append("\n".join([heading(finding), *lines]))
    return "\n\n".join(parts)


def summary(findings: tuple[Finding, ...]) -> list[tuple[str, ...]]:
    """List the rows of the table: what each peer claims in total, and what we count."""
    rows: list[tuple[str, ...]] = []
    for finding in _totals(findings):
        claim = finding.claim
        failed = finding.verdict is Verdict.FAILED
        numbers = ("", "") if failed or claim.claimed is None else (number(claim.claimed), signed(finding.difference))
        unit = _SHORT.get(claim.unit, claim.unit)
        rows.append((claim.source, unit, numbers[0], number(finding.ours), numbers[1], finding.verdict.value))
    return rows


def heading(finding: Finding) -> str:
    """Return the peer, its version and its unit."""
    claim = finding.claim
    return f"{claim.source} ({claim.version}), {claim.unit}"


def story(finding: Finding, findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yield the causes of a total's difference, largest first; then what is unexplained, in total and by module."""
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
    """Return the operators and modules in which a cause arises, largest amount first."""
    return f"{_named(_sums((s.operator, s.amount) for s in cause.contributions))} in {_modules_named(cause)}"


def number(value: Exact) -> str:
    """Return a number with every digit.

    Example:
        >>> number(11_689_512), number(2.5)
        ('11,689,512', '2.5')
    """
    return units.exact(int(value)) if value == int(value) else f"{float(value):,}"


def signed(value: Exact) -> str:
    """Return a difference with its sign and every digit.

    Example:
        >>> signed(1_500), signed(-1), signed(0)
        ('+1,500', '−1', '0')
    """
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{number(-value if value < 0 else value)}"


def _totals(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.claim.subject == TOTAL]


def _modules(total: Finding, findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yield how many modules were compared, and the first of those with an unexplained rest."""
    modules = [f for f in findings if _same(f, total) and f.claim.subject != TOTAL]
    unexplained = [f for f in modules if f.unexplained]
    if modules and not unexplained and total.causes:
        yield f"{len(modules)} modules compared, nothing left over in any"
    for finding in unexplained[:_NAMED]:
        yield f"{signed(finding.unexplained)}  unexplained at {finding.claim.subject}"
    if len(unexplained) > _NAMED:
        yield f"and an unexplained rest in {len(unexplained) - _NAMED} more of {len(modules)} modules"


def _same(finding: Finding, total: Finding) -> bool:
    return (finding.claim.source, finding.claim.unit) == (total.claim.source, total.claim.unit)


def _sums(parts: Iterable[tuple[str, Exact]]) -> list[tuple[str, Exact]]:
    """Sum amounts by name, largest first."""
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
    """Name the modules where most of a cause arises; names that differ only in numbers are grouped.

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
