"""The rows of a sweep as a page: a table that can be sorted, and the rows as points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.escaping import plain, plain_lines, shorten
from profiler.report.page.overview import Cell, Overview
from profiler.report.page.render import render_page
from profiler.report.scatter import Axis, Scale, Scatter
from profiler.report.sweep_table import SETTINGS, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 300
#: The figures that the page shows: the field of a row, the label, and how its amounts are written.
_FIGURES: tuple[tuple[str, str, Scale, str], ...] = (
    ("macs", "MACs", "count", "MAC"), ("flops", "FLOPs", "count", "FLOP"), ("params", "parameters", "count", ""),
    ("bytes_read", "bytes read", "size", ""), ("bytes_written", "bytes written", "size", ""),
    ("peak_memory", "peak memory", "size", ""),
)  # fmt: skip
#: Settings whose values can be kinds of points, if there are few of them.
_KINDS = ("dtype", "input", "batch")
_MOST_KINDS = 7


def sweep_page(rows: Sequence[dict[str, Any]]) -> str:
    """Return a page of all rows; those that failed have their error, and no point."""
    varied = [name for name in SETTINGS if name == "target" or len({row[name] for row in rows}) > 1]
    has_errors = any(row.get("error") for row in rows)
    columns = (*varied, "status", *(label for _, label, *_ in _FIGURES), *(["error"] if has_errors else []))
    overview = Overview(
        "Sweep",
        f"{len(rows)} combinations: {summary(rows)}.",
        columns,
        tuple(_cells(row, varied, has_errors=has_errors) for row in rows),
        _scatter([row for row in rows if row["status"] == "ok"], varied),
    )
    return plain_lines(render_page([], "Sweep", overview=overview))


def _cells(row: dict[str, Any], varied: Sequence[str], *, has_errors: bool) -> tuple[Cell, ...]:
    settings = [_setting(row, name) for name in varied]
    figures = [_figure(row, field, scale) for field, _, scale, _ in _FIGURES]
    error = [Cell(_short(row.get("error") or ""))] if has_errors else []
    return (*settings, Cell(row["status"]), *figures, *error)


def _setting(row: dict[str, Any], name: str) -> Cell:
    value = row[name]
    return Cell("" if value is None else _short(str(value)), value if isinstance(value, int) else None)


def _figure(row: dict[str, Any], field: str, scale: Scale) -> Cell:
    value = row.get(field)
    if value is None:
        return Cell("")
    bound = "≥ " if row.get("uncounted") and field in {"macs", "flops"} else ""
    return Cell(bound + (units.size(value) if scale == "size" else units.count(value)), value)


def _scatter(rows: Sequence[dict[str, Any]], varied: Sequence[str]) -> Scatter | None:
    if len(rows) < 2:  # noqa: PLR2004 - one point is no picture
        return None
    kind = next((name for name in _KINDS if 1 < len({row[name] for row in rows}) <= _MOST_KINDS), None)
    axes = [
        Axis(label, scale, tuple(row.get(field) for row in rows), unit, better=-1)
        for field, label, scale, unit in _FIGURES
    ]
    batches = Axis("batch", "plain", tuple(row["batch"] for row in rows))
    return Scatter(
        tuple(" · ".join(_short(str(row[name])) for name in varied if row[name] is not None) for row in rows),
        tuple(axis for axis in (*axes, batches) if any(value is not None for value in axis.values)),
        "parameters",
        "MACs",
        groups=tuple(f"{kind} {_short(str(row[kind]))}" for row in rows) if kind is not None else (),
    )


def _short(text: str) -> str:
    return shorten(plain(text), _LONGEST)
