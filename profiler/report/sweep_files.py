"""Write the rows of a sweep to a file, in the format that its name tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.report.sweep_table import sweep_csv, sweep_parquet
from profiler.util.files import write_whole, write_whole_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_sweep(rows: Sequence[dict[str, Any]], output: Path) -> None:
    """Write the rows to a file, whole or not at all: CSV, Parquet, or a page for a browser.

    Raises:
        OutputError: The file cannot be written.
    """
    if output.suffix == ".parquet":
        write_whole_bytes(output, sweep_parquet(rows))
    elif output.suffix == ".html":
        from profiler.report.sweep_page import sweep_page  # noqa: PLC0415 - jinja2 and plotly are for this format alone

        write_whole(output, sweep_page(rows))
    else:
        write_whole(output, sweep_csv(rows))
