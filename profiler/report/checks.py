"""What came of budgets, as text and as JSON (schema ``profiler-check/1``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.guard import Outcome
from profiler.guard.metrics import PEAK
from profiler.report.profile_differences import changes_text, path_name
from profiler.report.report import Report
from profiler.report.tables import exactly, percent, table
from profiler.tally.figures import HELD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profiler.errors import ProfilerError
    from profiler.guard import Change, Check
    from profiler.report.tables import Side

    #: What came of each budget, by name: an outcome, or why there is none.
    Outcomes = Mapping[str, Outcome | ProfilerError]

_COLUMNS: dict[str, Side] = {"limit": "left", "value": "right", "allowed": "right", "change": "right", "": "left"}
_BINARY = frozenset({"bytes_read", "bytes_written", PEAK})
_WHERE_SHOWN = 8


def outcomes_text(outcomes: Outcomes) -> str:
    """Write every budget with its limits, and where the broken ones are over."""
    parts = [_text(name, outcome) for name, outcome in outcomes.items()]
    if all(isinstance(outcome, Outcome) and outcome.passed for outcome in outcomes.values()):
        parts.append(verdict(outcomes))
    return "\n\n".join(parts) + "\n"


def outcome_text(outcome: Outcome) -> str:
    """Write the limits of one budget, and where the broken ones are over.

    The change is that against the baseline.
    """
    heading = Report(outcome.profile, outcome.name, 0).heading
    parts = [table(_COLUMNS, [_row(outcome, check) for check in outcome.checks])]
    parts += [where_text(check) for check in outcome.checks if not check.passed]
    return f"{heading}\n\n" + "\n\n".join(parts)


def where_text(check: Check) -> str:
    """Say by how much a limit is broken, and in which modules and operators."""
    binary = check.limit.metric.name in _BINARY
    if not check.where:
        return explain(check)
    rows = check.where[:_WHERE_SHOWN]
    shown = changes_text(rows, binary=binary) if _changed(check) else _places(rows, binary=binary)
    hidden = len(check.where) - _WHERE_SHOWN
    return f"{explain(check)}\n{shown}" + (f"\nand {hidden} more" if hidden > 0 else "")


def explain(check: Check) -> str:
    """Say in one line what is wrong with a figure.

    Example: ``macs is 1,001: 1 more than the 1,000 allowed; it was 1,000; it changed most in fc (aten.addmm), by +1``.
    """
    metric, value = check.limit.metric, units.exact(check.value)
    value += f" {metric.unit}" if metric.part == "devices" else ""  # the others' names have their unit
    bound, word = (check.most, "more") if check.excess > 0 else (check.least, "less")
    parts = [
        f"{metric.label} is {value}: {units.exact(abs(check.excess))} {word} than the {units.exact(bound)} allowed"
    ]
    if check.baseline is not None:
        parts.append(f"it was {units.exact(check.baseline)}")
    if check.where:
        first = check.where[0]
        place = f"{first.place.module or '(model)'} ({first.place.operator})"
        changed = f"it changed most in {place}, by {exactly(first.change)}"
        parts.append(changed if _changed(check) else f"most of it is in {place}")
    return "; ".join(parts)


def verdict(outcomes: Outcomes) -> str:
    """Sum up in one line."""
    found = [outcome for outcome in outcomes.values() if isinstance(outcome, Outcome)]
    checks = [check for outcome in found for check in outcome.checks]
    broken = sum(not check.passed for check in checks)
    names = [n for n, o in outcomes.items() if not isinstance(o, Outcome) or not o.passed]
    failed = len(outcomes) - len(found)
    parts = [f"{broken} of {len(checks)} limits {'is' if broken == 1 else 'are'} broken"] if broken else []
    parts += [f"{failed} of {len(outcomes)} budgets could not be held"] if failed else []
    if not parts:
        return f"All {len(checks)} limits hold."
    return f"{' and '.join(parts)}: {', '.join(names)}"


def outcomes_json(outcomes: Outcomes) -> str:
    """Write every limit as JSON."""
    passed = all(isinstance(outcome, Outcome) and outcome.passed for outcome in outcomes.values())
    budgets = [_document(name, outcome) for name, outcome in outcomes.items()]
    document = {"schema": "profiler-check/1", "passed": passed, "budgets": budgets}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _text(name: str, outcome: Outcome | ProfilerError) -> str:
    return outcome_text(outcome) if isinstance(outcome, Outcome) else f"{name}\n\nnot held: {outcome}"


def _changed(check: Check) -> bool:
    return check.baseline is not None and check.baseline != check.value


def _places(rows: Iterable[Change], *, binary: bool) -> str:
    """Say where a figure is, where nothing is known of what it was."""
    short = units.size if binary else units.count
    columns: dict[str, Side] = {"module": "left", "operator": "left", "amount": "right"}
    return table(columns, [(path_name(r.place.module), r.place.operator, short(r.after)) for r in rows])


def _row(outcome: Outcome, check: Check) -> tuple[str, ...]:
    written, metric = check.limit.written, check.limit.metric
    allowed = units.exact(check.most) + (f" ({written})" if check.limit.is_relative else "")
    is_bound = metric.name not in {*HELD, PEAK, "uncounted", "calls"} and not outcome.profile.is_complete
    change = ""
    if check.baseline is not None:
        delta = check.value - check.baseline
        share = percent(delta, check.baseline)
        change = exactly(delta) + (f" ({share} %)" if share else "") if delta else "="
    mark = "" if check.passed else "BROKEN"
    return metric.label, ("≥ " if is_bound else "") + units.exact(check.value), allowed, change, mark


def _document(name: str, outcome: Outcome | ProfilerError) -> dict[str, Any]:
    if not isinstance(outcome, Outcome):
        return {"name": name, "passed": False, "error": str(outcome)}
    limits = [_limit(check) for check in outcome.checks]
    complete = outcome.profile.is_complete
    return {"name": name, "passed": outcome.passed, "error": None, "complete": complete, "limits": limits}


def _limit(check: Check) -> dict[str, Any]:
    metric = check.limit.metric
    figures = {"value": check.value, "most": check.most, "least": check.least, "baseline": check.baseline}
    where = [
        {"module": c.place.module, "operator": c.place.operator, "dtype": c.place.dtype, "kind": c.kind, "was": c.was,
         "before": c.before, "after": c.after, "change": c.change}
        for c in check.where
    ]  # fmt: skip
    part = {"figure": metric.name, "unit": metric.unit, "part": metric.part or None, "pattern": metric.pattern or None}
    return {**part, "written": check.limit.written, "passed": check.passed, **figures, "where": where}
