"""Several models side by side: as text, Markdown, LaTeX, CSV and JSON. The best of a column has a star."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import csv_cell, latex
from profiler.escaping import markdown as markdown_text
from profiler.report.registry import Formats
from profiler.report.tables import table
from profiler.util.files import write_whole
from profiler.values.comparison import ModelRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.report.scatter import Scale
    from profiler.report.tables import Side
    from profiler.tally import Profile


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several models side by side. ``print(comparison)`` shows the table."""

    rows: tuple[ModelRow, ...]
    #: The profile of each row, for the page; None for a model that could not be counted.
    profiles: tuple[Profile | None, ...] = ()

    def __str__(self) -> str:
        """Return the table as text."""
        return to_text(self)

    def to_html(self) -> str:
        """Return a page for a browser: the table, the models as points, and a report of each."""
        return COMPARISON_FORMATS.render(self, "html")

    def write_html(self, path: str | Path) -> None:
        """Write what `to_html` returns to a file, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        write_whole(Path(path), self.to_html())


COMPARISON_FORMATS = Formats[Comparison]("profiler.report.comparison_formats")
_WIDTH = 140


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    heading: str
    value: Callable[[ModelRow], float | None]
    text: Callable[[float], str]
    #: How a picture writes its amounts.
    scale: Scale = "count"
    #: 1 if a larger value is better, −1 if a smaller one is, 0 if neither.
    better: int = -1


@COMPARISON_FORMATS.register("text")
def to_text(comparison: Comparison) -> str:
    """Write a table; models that could not be counted follow, with the reason."""
    columns = columns_of(comparison)
    sides: dict[str, Side] = {"model": "left"}
    sides.update((column.heading, "right") for column in columns)
    failed = [f"{row.name}: {row.error}" for row in comparison.rows if row.error]
    notes = ["* the best of the column; estimates of time: see `--on`"] if len(comparison.rows) > 1 else []
    return "\n\n".join([table(sides, _cells(comparison, columns), width=_WIDTH), *notes, *failed]) + "\n"


@COMPARISON_FORMATS.register("markdown")
def to_markdown(comparison: Comparison) -> str:
    """Write the table in Markdown, the best of a column in bold."""
    columns = columns_of(comparison)
    lines = [
        f"| model | {' | '.join(markdown_text(column.heading) for column in columns)} |",
        f"| --- |{' ---: |' * len(columns)}",
    ]
    for row in _cells(comparison, columns):
        name, *cells = map(markdown_text, row)
        bold = [f"**{cell.removesuffix(_STAR_IN_MARKDOWN)}**" if cell.endswith("*") else cell for cell in cells]
        lines.append(f"| {name} | {' | '.join(bold)} |")
    lines += ["", *(markdown_text(f"{row.name}: {row.error}") for row in comparison.rows if row.error)]
    return "\n".join(lines).rstrip() + "\n"


@COMPARISON_FORMATS.register("latex")
def to_latex(comparison: Comparison) -> str:
    """Write a ``tabular`` with booktabs' rules, the best of a column in bold."""
    columns = columns_of(comparison)
    lines = [rf"\begin{{tabular}}{{l{'r' * len(columns)}}}", r"\toprule"]
    headings = ["model", *(column.heading for column in columns)]
    lines += [" & ".join(latex(heading) for heading in headings) + r" \\", r"\midrule"]
    for row in _cells(comparison, columns):
        cells = [
            rf"\textbf{{{latex(cell.removesuffix(' *'))}}}" if cell.endswith(" *") else latex(cell) for cell in row
        ]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


@COMPARISON_FORMATS.register("csv")
def to_csv(comparison: Comparison) -> str:
    """Write a line a model, with every digit."""
    columns = columns_of(comparison)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["model", *(column.heading for column in columns), "complete", "error"])
    for row in comparison.rows:
        values = ["" if (value := column.value(row)) is None else value for column in columns]
        writer.writerow([csv_cell(row.name), *values, row.is_complete, csv_cell(row.error)])
    return out.getvalue()


@COMPARISON_FORMATS.register("json")
def to_json(comparison: Comparison) -> str:
    """Write every figure as JSON."""
    rows = [
        asdict(row)
        | {
            "peers": [{"name": name, "unit": unit, "claimed": claimed} for name, unit, claimed in row.peers],
            "seconds": dict(row.seconds),
        }
        for row in comparison.rows
    ]
    return json.dumps({"schema": "profiler-comparison/1", "models": rows}, indent=1, ensure_ascii=False) + "\n"


#: How Markdown writes the star of the best value.
_STAR_IN_MARKDOWN = markdown_text(" *")


def columns_of(comparison: Comparison) -> list[Column]:
    """Return the columns of which any row has a value."""
    columns = [
        Column("params", lambda row: row.params, lambda value: units.count(round(value))),
        Column("MACs", lambda row: row.macs, lambda value: units.count(round(value))),
        Column("FLOPs", lambda row: row.flops, lambda value: units.count(round(value))),
        Column("weights", lambda row: row.param_bytes, lambda value: units.size(round(value)), "size"),
        Column("peak memory", lambda row: row.peak_bytes, lambda value: units.size(round(value)), "size"),
        Column("accuracy %", lambda row: row.accuracy, "{:.2f}".format, "plain", better=1),
    ]
    peers = dict.fromkeys((name, unit) for row in comparison.rows for name, unit, _ in row.peers)
    columns += [_peer_column(name, unit) for name, unit in peers]
    known = [column for column in columns if any(column.value(row) is not None for row in comparison.rows)]
    devices = dict.fromkeys(name for row in comparison.rows for name, _ in row.seconds)
    return [*known, *map(_device_column, devices)]


def _peer_column(name: str, unit: str) -> Column:
    def claimed(row: ModelRow) -> float | None:
        return next((value for peer, u, value in row.peers if (peer, u) == (name, unit)), None)

    return Column(f"{name} {unit}", claimed, lambda value: units.count(round(value)), better=0)


def _device_column(name: str) -> Column:
    return Column(f"on {name}", lambda row: dict(row.seconds).get(name), units.seconds, "seconds")


def _cells(comparison: Comparison, columns: list[Column]) -> list[list[str]]:
    """Return the cells of the table; the best value of a column ends in a star."""
    best = [best_of(comparison, column) for column in columns]
    return [
        [row.name, *(cell_text(row, column, best[i]) for i, column in enumerate(columns))] for row in comparison.rows
    ]


def best_of(comparison: Comparison, column: Column) -> float | None:
    """Return the best value of a column; None if it has no best."""
    values = [value for row in comparison.rows if (value := column.value(row)) is not None]
    if not column.better or len(values) < 2:  # noqa: PLR2004 - one value alone is not the best
        return None
    return max(values, key=lambda value: column.better * value)


def cell_text(row: ModelRow, column: Column, best: float | None) -> str:
    """Return the text of a cell, with a star if it has the best value, or why there is none."""
    value = column.value(row)
    if value is None:
        return "failed" if row.error else "no such precision" if column.heading.startswith("on ") else ""
    bound = "≥ " if not row.is_complete and column.heading in {"MACs", "FLOPs"} else ""
    return f"{bound}{column.text(value)}{' *' if value == best else ''}"
