"""The modules as a LaTeX table with the rules of the package booktabs, for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import plain, shorten
from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.report.table_formats import latex_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.report.report import Report
    from profiler.report.tables import Side

_COLUMNS: dict[str, Side] = {
    "module": "left", "type": "left", "MACs": "right", "FLOPs": "right", "% FLOPs": "right", "params": "right",
}  # fmt: skip
_INDENT = "\u00a0\u00a0"
_LONGEST = 80


@PROFILE_FORMATS.register("latex")
def to_latex(report: Report) -> str:
    """Return a ``tabular``: the modules, and in the first comment what was counted, with every digit of its totals."""
    totals = [f"% {plain(line.label)}: {plain(line.exact)}" for line in report.totals()]
    uncounted = [f"% uncounted: {plain(name)}, {calls} calls" for name, calls in report.uncounted()]
    lines = [f"% {plain(report.heading_with_mode)}", *totals, *uncounted, "% needs \\usepackage{booktabs}"]
    return "\n".join([*lines, latex_table(_COLUMNS, _rows(report))]) + "\n"


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    whole = report.profile.totals.flops
    for row in report.modules():
        totals = row.totals
        mark = "≥ " if totals.uncounted else ""
        name = shorten(row.name, _LONGEST) or "(model)"
        figures = (units.count(totals.macs), mark + units.count(totals.flops), units.share(totals.flops, whole))
        yield (_INDENT * row.level + name, shorten(row.type, _LONGEST), *figures, units.count(totals.params))
