"""Several models as a page: a table that can be sorted, the models as points, and a report of each."""

from __future__ import annotations

from profiler.escaping import plain, shorten
from profiler.report.comparison_scatter import comparison_scatter
from profiler.report.comparisons import COMPARISON_FORMATS, Column, Comparison, best_of, cell_text, columns_of
from profiler.report.page.overview import Cell, Overview
from profiler.report.report import Report

_LONGEST = 300


@COMPARISON_FORMATS.register("html")
def html(comparison: Comparison) -> str:
    """Return a page with the table, the models as points, and a tab with the report of each model."""
    from profiler.report.page.render import render_page  # noqa: PLC0415 - jinja2 and plotly are for this format alone

    profiles = comparison.profiles or (None,) * len(comparison.rows)
    reports: list[Report] = []
    tabs: list[int | None] = []
    for row, profile in zip(comparison.rows, profiles, strict=True):
        tabs.append(len(reports) if profile is not None else None)
        reports += [Report(profile, row.name, 0)] if profile is not None else []
    columns = columns_of(comparison)
    overview = Overview(
        "Comparison",
        "The best of each column is bold." if len(comparison.rows) > 1 else "",
        ("model", *(column.heading for column in columns)),
        tuple(zip(*_cells(comparison, columns), strict=True)),
        comparison_scatter(comparison) if len(comparison.rows) > 1 and columns else None,
        tuple(tabs),
        tuple(f"{_short(row.name)}: {row.error}" for row in comparison.rows if row.error),
    )
    return render_page(reports, _title(comparison), overview=overview)


def _cells(comparison: Comparison, columns: list[Column]) -> list[list[Cell]]:
    """Return the columns of the table, that of the names first."""
    return [[Cell(_short(row.name)) for row in comparison.rows], *(_column(comparison, column) for column in columns)]


def _column(comparison: Comparison, column: Column) -> list[Cell]:
    best = best_of(comparison, column)
    cells = []
    for row in comparison.rows:
        value = column.value(row)
        text = cell_text(row, column, None)
        cells.append(Cell(text, value, is_best=value is not None and value == best))
    return cells


def _title(comparison: Comparison) -> str:
    names = [_short(row.name) for row in comparison.rows]
    return " · ".join(names) if len(names) <= 3 else f"{len(names)} models compared"  # noqa: PLR2004 - more are a long title


def _short(text: str) -> str:
    return shorten(plain(text), _LONGEST)
