"""The results of budgets, and what all their formats share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler import units
from profiler.errors import ProfilerError
from profiler.guard import Outcome
from profiler.guard.metrics import PEAK
from profiler.report.profile_differences import changes_text, path_name
from profiler.report.registry import Formats
from profiler.report.report import Report
from profiler.report.tables import percent, signed_exact, table
from profiler.tally.figures import HELD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.guard import Change, Check
    from profiler.report.tables import Side

#: The outcome of each budget by its name, or the error that prevented it.
Outcomes = Mapping[str, Outcome | ProfilerError]
#: The formats of check results: one file each in ``report/check_formats``.
CHECK_FORMATS: Formats[CheckReport] = Formats("profiler.report.check_formats")
#: The columns of a budget's limits.
COLUMNS: dict[str, Side] = {"limit": "left", "value": "right", "allowed": "right", "change": "right", "": "left"}
_BINARY = frozenset({"bytes_read", "bytes_written", PEAK})
_WHERE_SHOWN = 8


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The results of a file of budgets: an outcome for each budget, or the error that prevented it."""

    outcomes: Outcomes
    #: The file of budgets.
    source: str

    @property
    def passed(self) -> bool:
        """Whether every limit of every budget holds."""
        return all(isinstance(outcome, Outcome) and outcome.passed for outcome in self.outcomes.values())

    @property
    def verdict(self) -> str:
        """One line: how many limits hold or are broken, and of which budgets."""
        finished = [outcome for outcome in self.outcomes.values() if isinstance(outcome, Outcome)]
        checks = [check for outcome in finished for check in outcome.checks]
        broken = sum(not check.passed for check in checks)
        failed = len(self.outcomes) - len(finished)
        parts = [f"{broken} of {len(checks)} limits {'is' if broken == 1 else 'are'} broken"] if broken else []
        parts += [f"{failed} of {len(self.outcomes)} budgets could not be checked"] if failed else []
        if not parts:
            return f"All {len(checks)} limits hold."
        names = [n for n, o in self.outcomes.items() if not isinstance(o, Outcome) or not o.passed]
        return f"{' and '.join(parts)}: {', '.join(names)}"


def outcome_text(outcome: Outcome) -> str:
    """Return the limits of one budget as a table, and where the figures of broken limits grew.

    The column "change" compares with the baseline.
    """
    heading = Report(outcome.profile, outcome.name, 0).heading_with_mode
    parts = [table(COLUMNS, [limit_cells(outcome, check) for check in outcome.checks])]
    parts += [where_text(check) for check in outcome.checks if not check.passed]
    return f"{heading}\n\n" + "\n\n".join(parts)


def where_text(check: Check) -> str:
    """Return by how much a limit is broken, and in which modules and operators."""
    binary = check.limit.metric.name in _BINARY
    if not check.where:
        return explain(check)
    rows = check.where[:_WHERE_SHOWN]
    shown = changes_text(rows, binary=binary) if _changed(check) else _places(rows, binary=binary)
    hidden = len(check.where) - _WHERE_SHOWN
    return f"{explain(check)}\n{shown}" + (f"\nand {hidden} more" if hidden > 0 else "")


def explain(check: Check) -> str:
    """Return in one line what is wrong with a figure.

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
        changed = f"it changed most in {place}, by {signed_exact(first.change)}"
        parts.append(changed if _changed(check) else f"most of it is in {place}")
    return "; ".join(parts)


def _changed(check: Check) -> bool:
    return check.baseline is not None and check.baseline != check.value


def _places(rows: Iterable[Change], *, binary: bool) -> str:
    """Return where a figure arises, without comparison."""
    short = units.size if binary else units.count
    columns: dict[str, Side] = {"module": "left", "operator": "left", "amount": "right"}
    return table(columns, [(path_name(r.place.module), r.place.operator, short(r.after)) for r in rows])


def limit_cells(outcome: Outcome, check: Check) -> tuple[str, ...]:
    """Return the row of a limit, in the order of ``COLUMNS``."""
    written, metric = check.limit.written, check.limit.metric
    allowed = units.exact(check.most) + (f" ({written})" if check.limit.is_relative else "")
    is_bound = metric.name not in {*HELD, PEAK, "uncounted", "calls"} and not outcome.profile.is_complete
    change = ""
    if check.baseline is not None:
        delta = check.value - check.baseline
        share = percent(delta, check.baseline)
        change = signed_exact(delta) + (f" ({share} %)" if share else "") if delta else "="
    mark = "" if check.passed else "BROKEN"
    return metric.label, ("≥ " if is_bound else "") + units.exact(check.value), allowed, change, mark
