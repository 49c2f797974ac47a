"""The modules as comma-separated values: exact integers, one row a module, its own costs and its whole."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

from profiler.report.registry import report_format

if TYPE_CHECKING:
    from profiler.report.report import Report

_COSTS = (
    "macs", "masked_macs", "other_flops", "transcendentals", "flops", "bytes_read", "bytes_written",
    "params", "trainable_params", "buffers", "uncounted",
)  # fmt: skip


@report_format("csv")
def rows(report: Report) -> str:
    """Write every module, whatever the depth."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", "type", "calls", *(f"self_{name}" for name in _COSTS), *(f"total_{n}" for n in _COSTS)])
    for path, node in report.profile.nodes.items():
        own, total = ([getattr(t, name) for name in _COSTS] for t in (node.own, node.total))
        writer.writerow([path, node.module.type, node.module.calls, *own, *total])
    return out.getvalue()
