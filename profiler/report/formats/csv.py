"""The modules as comma-separated values: one row per module, with its own costs and its total; exact integers.

A name that a spreadsheet would take for a formula has a ``'`` in front.
"""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

from profiler.escaping import csv_cell
from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.tally.figures import FIGURES

if TYPE_CHECKING:
    from profiler.report.report import Report


@PROFILE_FORMATS.register("csv")
def rows(report: Report) -> str:
    """Return a row for every module, whatever the depth."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", "type", "calls", *(f"self_{name}" for name in FIGURES), *(f"total_{n}" for n in FIGURES)])
    for path, node in report.profile.nodes.items():
        own, total = ([getattr(t, name) for name in FIGURES] for t in (node.own, node.total))
        writer.writerow([csv_cell(path), csv_cell(node.module.type), node.module.calls, *own, *total])
    return out.getvalue()
