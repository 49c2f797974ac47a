"""The first tab of a page with several results: a table that can be sorted, and a picture of the rows as points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import plain, shorten
from profiler.report.scatter import Axis, Scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.report.report import Report

_LONGEST = 300
_TIME = "time (estimate)"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the table: its text, and the number that it is sorted by, if it is one."""

    text: str
    number: float | None = None
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first tab shows."""

    name: str
    #: The answer in a sentence or two.
    lead: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: None if fewer than two rows can be drawn.
    scatter: Scatter | None
    #: For each row, the number of the report that it leads to; None if it has none.
    tabs: tuple[int | None, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def numeric(self) -> tuple[int, ...]:
        """The columns that hold numbers."""
        return tuple(i for i in range(len(self.columns)) if any(row[i].number is not None for row in self.rows))


def overview_of(reports: Sequence[Report]) -> Overview:
    """Return the totals of several reports as a table and as points."""
    names = tuple(shorten(plain(report.title), _LONGEST) for report in reports)
    axes = tuple(axis for axis in _axes(reports) if any(value is not None for value in axis.values))
    is_timed = axes[-1].label == _TIME and None not in axes[-1].values
    return Overview(
        "Comparison",
        "",
        ("profile", *(axis.label for axis in axes)),
        tuple((Cell(name), *(_cell(axis, i, reports[i]) for axis in axes)) for i, name in enumerate(names)),
        Scatter(names, axes, "parameters", _TIME if is_timed else "FLOPs"),
        tuple(range(len(reports))),
    )


def _axes(reports: Sequence[Report]) -> list[Axis]:
    totals = [report.profile.totals for report in reports]
    projections = [report.profile.projection for report in reports]
    return [
        Axis("MACs", "count", tuple(t.macs for t in totals), "MAC"),
        Axis("FLOPs", "count", tuple(t.flops for t in totals), "FLOP"),
        Axis("bytes moved", "size", tuple(t.bytes_read + t.bytes_written for t in totals)),
        Axis("parameters", "count", tuple(t.params for t in totals)),
        Axis("peak memory", "size", tuple(t.peak_memory.get("total") or None for t in totals)),
        Axis(_TIME, "seconds", tuple(None if p is None else float(p.estimate_s.value) for p in projections)),
    ]


def _cell(axis: Axis, i: int, report: Report) -> Cell:
    value = axis.values[i]
    if value is None:
        return Cell("")
    text = units.count(round(value)) if axis.scale == "count" else axis.text(value)
    return Cell(f"{report.at_least if axis.label in {'MACs', 'FLOPs'} else ''}{text}", value)
