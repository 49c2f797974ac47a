"""The modules as comma-separated values: one row per module, with its own costs and its total; exact integers.

A name that a spreadsheet would take for a formula has a ``'`` in front. What other counters claim are columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.report.table_formats import csv_table
from profiler.tally.figures import FIGURES
from profiler.values.findings import TOTAL

if TYPE_CHECKING:
    from profiler.report.report import Report
    from profiler.values.findings import Finding


@PROFILE_FORMATS.register("csv")
def rows(report: Report) -> str:
    """Return a row for every module, or for those down to the depth that was asked for."""
    sources = list(dict.fromkeys((f.claim.source, f.claim.unit) for f in report.profile.findings))
    findings = {(f.claim.source, f.claim.unit, _path(f)): f for f in reversed(report.profile.findings)}
    columns = [
        *("path", "type", "calls"),
        *(f"{part}_{name}" for part in ("self", "total") for name in FIGURES),
        *(f"{source} {unit}{part}" for source, unit in sources for part in ("", " unexplained", " verdict")),
    ]
    lines = [
        [
            *(path, node.module.type, node.module.calls),
            *(getattr(totals, name) for totals in (node.own, node.total) for name in FIGURES),
            *(cell for source in sources for cell in _cells(findings.get((*source, path)))),
        ]
        for path, node in report.profile.nodes.items()
        if report.reaches(path)
    ]
    return csv_table(columns, lines)


def _path(finding: Finding) -> str:
    return "" if finding.claim.subject == TOTAL else finding.claim.subject


def _cells(finding: Finding | None) -> tuple[object, ...]:
    """Return what a source claims of a module, what of the difference has no known cause, and the verdict."""
    if finding is None:
        return (None, None, None)
    claimed = finding.claim.claimed
    return (claimed, None if claimed is None else finding.unexplained, finding.verdict.value)
