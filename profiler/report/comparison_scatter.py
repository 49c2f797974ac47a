"""Several models as points: what each costs against what it achieves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.escaping import plain, shorten
from profiler.report.comparisons import columns_of
from profiler.report.scatter import Axis, Scatter

if TYPE_CHECKING:
    from profiler.report.comparisons import Column, Comparison

_LONGEST = 300


def comparison_scatter(comparison: Comparison) -> Scatter:
    """Return the models as points: MACs across; up the accuracy if two have one, otherwise the parameters."""
    axes = tuple(_axis(comparison, column) for column in columns_of(comparison))
    accuracies = sum(row.accuracy is not None for row in comparison.rows)
    up = "accuracy %" if accuracies > 1 else "params"
    return Scatter(tuple(shorten(plain(row.name), _LONGEST) for row in comparison.rows), axes, "MACs", up)


def _axis(comparison: Comparison, column: Column) -> Axis:
    values = tuple(column.value(row) for row in comparison.rows)
    return Axis(column.heading, column.scale, values, better=column.better)
