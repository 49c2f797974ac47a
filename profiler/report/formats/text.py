"""The text report: modules, totals, operators and uncounted operators, at most eighty columns wide."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from profiler import units
from profiler.escaping import plain, plain_lines
from profiler.report import communication_tables, document_findings, finding_tables, projection_tables
from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.report.savings import SAVINGS
from profiler.report.tables import GAP, gap_between

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import JustifyMethod, OverflowMethod, RenderableType

    from profiler.report.lines import Line
    from profiler.report.module_rows import Row
    from profiler.report.report import Report

WIDTH = 80
_OPERATORS_SHOWN = 12
_NARROWEST = 16
_LEFT_ALIGNED = frozenset(
    {
        "module",
        "input",
        "output",
        "operator",
        "dtype",
        "phase",
        "uncounted operator",
        "communication",
        "axis",
        "would save memory",
    }
)


@PROFILE_FORMATS.register("text")
def text(report: Report) -> str:
    """Return the report without colour, at most eighty columns wide."""
    console = Console(file=StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(renderable(report, WIDTH))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def renderable(report: Report, width: int) -> RenderableType:
    """Return the report for a rich console, in the console's colours."""
    return Group(
        Text(report.heading_with_mode, style="bold"),
        *(Text(plain(f"note: {note}")) for note in report.profile.notes),
        Text(),
        _tree(report, width),
        Text(),
        _lines(report.totals()),
        *_step(report, width),
        *_memory(report),
        *_savings(report, width),
        *_communication(report, width),
        *_documents(report, width),
        Text(),
        _operators(report, width),
        Text(),
        _uncounted(report, width),
        *_findings(report, width),
        *_projection(report),
    )


def _table(width: int, columns: tuple[str, ...], rows: Iterable[tuple[str | Text, ...]]) -> Table:
    """Return a table of rows; in lines longer than *width* the first cell is cut, numbers never are.

    An operator's name, which one copies to register a formula, is not cut: columns are one space apart if it fits then,
    and otherwise it is continued on the next line.
    """
    cells = [tuple(map(_cell, row)) for row in rows]
    widths = [max([len(column), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    gap = gap_between(len(columns) - 1, sum(widths), width) if "operator" in columns[0] else GAP
    widths[0] = min(widths[0], max(_NARROWEST, width - sum(widths[1:]) - gap * (len(columns) - 1)))
    padding = (0, gap - 1, 0, 0)
    table = Table(box=box.SIMPLE_HEAD, padding=padding, pad_edge=False, show_edge=False, header_style="bold")
    for column, wide in zip(columns, widths, strict=True):
        justify: JustifyMethod = "left" if column in _LEFT_ALIGNED else "right"
        overflow: OverflowMethod = "fold" if "operator" in column else "ellipsis"
        table.add_column(column, justify=justify, no_wrap=overflow != "fold", overflow=overflow, width=wide)
    for row in cells:
        table.add_row(*row)
    return table


def _cell(cell: str | Text) -> Text:
    """Return a cell without markup: a name may look like it."""
    return Text(plain(cell)) if isinstance(cell, str) else cell


def _module(row: Row) -> Text:
    name = f"{plain(row.name)} " if row.name else ""
    return Text("  " * row.level + name).append(plain(row.type), "dim" if row.level else "")


def _tree(report: Report, width: int) -> Table:
    """Return the modules: the columns that fit eighty characters, and as many more as there is room for."""
    rows, columns = report.modules(), _columns(report)
    names = [_module(row) for row in rows]
    used = _width("module", names) + sum(_width(name, columns[name]) for name in columns)
    for name, cells in _more_columns(report).items() if width > WIDTH else ():
        wide = _width(name, cells)
        if any(cells) and used + wide <= width:
            columns[name] = cells
            used += wide
    ordered = [name for name in _ORDER if name in columns]
    return _table(width, ("module", *ordered), zip(names, *(columns[name] for name in ordered), strict=True))


#: The columns of the modules in their order; they fit one line in the order of `_more_columns`.
_ORDER = (
    "MACs", "FLOPs", "% FLOPs", "% own", "bytes", "params", "trainable", "activations", "input", "output"
)  # fmt: skip


def _columns(report: Report) -> dict[str, list[str]]:
    """Return the cells of the columns that are always shown."""
    rows, whole = report.modules(), report.profile.totals.flops
    columns = {
        "MACs": [units.count(row.totals.macs) for row in rows],
        "FLOPs": [("≥ " if row.totals.uncounted else "") + units.count(row.totals.flops) for row in rows],
        "% FLOPs": [units.share(row.totals.flops, whole) for row in rows],
        "params": [units.count(row.totals.params) for row in rows],
    }
    if report.is_step:
        return columns | {"activations": [units.size(row.activations) for row in rows]}
    return columns | {"output": [row.output for row in rows]}


def _more_columns(report: Report) -> dict[str, list[str]]:
    """Return the cells of the columns for wider lines, the most useful first."""
    rows, whole = report.modules(), report.profile.totals.flops
    return {
        "input": [row.input for row in rows],
        "bytes": [units.size(row.totals.bytes_read + row.totals.bytes_written) for row in rows],
        "% own": [units.share(row.own.flops, whole) for row in rows],
        "trainable": [units.count(row.totals.trainable_params) for row in rows],
        "output": [row.output for row in rows],
    }


def _width(heading: str, cells: Iterable[str | Text]) -> int:
    """Return the width of a column with the gap behind it."""
    return max([len(heading), *map(len, cells)]) + GAP


def _step(report: Report, width: int) -> tuple[RenderableType, ...]:
    """Return the phases of a training step."""
    if not report.is_step:
        return ()
    total = report.profile.totals.flops
    rows = [
        (
            phase,
            units.count(totals.macs),
            ("≥ " if totals.uncounted else "") + units.count(totals.flops),
            units.share(totals.flops, total),
            units.size(totals.bytes_read + totals.bytes_written),
            units.size(totals.peak_memory.get("total", 0)),
        )
        for phase, totals in report.phases()
    ]
    table = _table(width, ("phase", "MACs", "FLOPs", "% FLOPs", "bytes", "peak memory"), rows)
    return Text(), table, Text(), _lines(report.step())


def _memory(report: Report) -> tuple[RenderableType, ...]:
    lines = report.memory()
    return (Text(), _lines(lines)) if lines else ()


def _savings(report: Report, width: int) -> tuple[RenderableType, ...]:
    rows = report.proposed_savings()
    notes = [Text(plain(note)) for note in report.unknown_savings()]
    return (*((Text(), _table(width, SAVINGS, rows)) if rows else ()), *((Text(), *notes) if notes else ()))


def _communication(report: Report, width: int) -> tuple[RenderableType, ...]:
    rows = communication_tables.cells(report.profile.communication)
    return (Text(), _table(width, communication_tables.COLUMNS, rows)) if rows else ()


def _lines(lines: Iterable[Line]) -> Table:
    rows = [(line.label, line.exact, line.short) for line in lines]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    justified: tuple[JustifyMethod, ...] = ("left", "right")
    for i, justify in enumerate(justified):
        table.add_column(justify=justify, no_wrap=True, width=max((len(row[i]) for row in rows), default=0))
    table.add_column()
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _operators(report: Report, width: int) -> RenderableType:
    total = report.profile.totals.flops
    operators = report.operators()
    rows = [
        (
            row.operator,
            row.dtype,
            str(row.calls),
            units.count(row.totals.macs),
            ("≥ " if row.totals.uncounted else "") + units.count(row.totals.flops),
            units.share(row.totals.flops, total),
            units.size(row.totals.bytes_read + row.totals.bytes_written),
        )
        for row in operators[:_OPERATORS_SHOWN]
    ]
    table = _table(width, ("operator", "dtype", "calls", "MACs", "FLOPs", "% FLOPs", "bytes"), rows)
    hidden = len(operators) - _OPERATORS_SHOWN
    return Group(table, Text(f"and {hidden} more", style="dim")) if hidden > 0 else table


def _findings(report: Report, width: int) -> tuple[RenderableType, ...]:
    findings = tuple(f for f in report.profile.findings if not f.claim.id)
    return (Text(), Text(plain_lines(finding_tables.text(findings, width)))) if findings else ()


def _documents(report: Report, width: int) -> tuple[RenderableType, ...]:
    claims = document_findings.text(report.title, report.profile.findings, width)
    return (Text(), Text(plain_lines(claims))) if claims else ()


def _projection(report: Report) -> tuple[RenderableType, ...]:
    projection = report.profile.projection
    return () if projection is None else (Text(), projection_tables.renderable(projection))


def _uncounted(report: Report, width: int) -> RenderableType:
    rows = report.uncounted()
    hints = (Text(hint, style="yellow") for hint in report.hints())
    if not rows:
        return Group(Text("Every operator is counted, or free.", style="green"), *hints)
    return Group(_table(width, ("uncounted operator", "calls"), rows), *hints)
