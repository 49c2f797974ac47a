"""The results of ``profiler check`` as comma-separated values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.guard import Outcome
from profiler.report.checks import CHECK_FORMATS, CheckReport
from profiler.report.table_formats import csv_table

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS = ("budget", "limit", "unit", "value", "most", "least", "baseline", "passed", "error")


@CHECK_FORMATS.register("csv")
def to_csv(report: CheckReport) -> str:
    """Write a line a limit; a budget that could not be checked is a line too."""
    return csv_table(_COLUMNS, _rows(report))


def _rows(report: CheckReport) -> Iterator[tuple[object, ...]]:
    for name, outcome in report.outcomes.items():
        if not isinstance(outcome, Outcome):
            yield (name, *[None] * 6, False, str(outcome))
            continue
        for check in outcome.checks:
            metric = check.limit.metric
            figures = (check.value, check.most, check.least, check.baseline)
            yield (name, metric.label, metric.unit, *figures, check.passed, None)
