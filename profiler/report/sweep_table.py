"""The table of a sweep as CSV or Parquet, and its summary."""

from __future__ import annotations

import csv
from collections import Counter
from importlib import import_module
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from profiler.errors import InputError, InstallationError
from profiler.escaping import csv_cell
from profiler.tally.figures import FIGURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: The fields of a row that say what was counted.
SETTINGS = ("target", "batch", "input", "dtype", "optimizer")
COLUMNS = (*SETTINGS, "status", "error", *FIGURES, "peak_memory")
_ENDINGS = (".csv", ".parquet", ".html")


def check_ending(output: Path) -> None:
    """Raise an ``InputError`` if the name of a file does not tell its format."""
    if output.suffix not in _ENDINGS:
        msg = f"cannot tell the format of {output}; let its name end in .csv, .parquet or .html"
        raise InputError(msg)
    if output.suffix == ".parquet":
        _pyarrow("pyarrow")


def sweep_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as comma-separated values; a figure that is not known is empty."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    return out.getvalue()


def sweep_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return the rows as a Parquet file."""
    arrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    text = {*SETTINGS, "status", "error"} - {"batch"}
    columns = {
        name: arrow.array([row.get(name) for row in rows], type=arrow.string() if name in text else arrow.int64())
        for name in COLUMNS
    }
    out = BytesIO()
    parquet.write_table(arrow.table(columns), out)
    return out.getvalue()


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Return how many rows have which status, as in ``118 ok, 2 failed, 1 timeout``."""
    counts = Counter(row["status"] for row in rows)
    order = ("ok", "failed", "timeout", "crashed")
    return ", ".join(f"{counts[status]} {status}" for status in order if counts[status])


def _cell(value: Any) -> Any:
    return "" if value is None else csv_cell(value) if isinstance(value, str) else value


def _pyarrow(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        msg = "a Parquet file needs pyarrow; install it with: pip install pyarrow, or write a .csv"
        raise InstallationError(msg) from error
