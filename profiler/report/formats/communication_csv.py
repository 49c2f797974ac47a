"""The table of communication as comma-separated values: a row per kind, group, dtype, module and phase; exact bytes."""

from __future__ import annotations

import csv
from dataclasses import fields
from io import StringIO
from typing import TYPE_CHECKING

from profiler.escaping import csv_cell
from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.values.communication import Communication

if TYPE_CHECKING:
    from profiler.report.report import Report

_COLUMNS = tuple(field.name for field in fields(Communication))


@PROFILE_FORMATS.register("communication-csv")
def rows(report: Report) -> str:
    """Return a row for everything that the rank exchanges; the ranks of a group are separated by spaces."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in report.profile.communication:
        writer.writerow([_cell(getattr(row, name)) for name in _COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return csv_cell(value) if isinstance(value, str) else value
