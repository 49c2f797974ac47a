"""The rows of a sweep that are done, on disk while it runs: a sweep that was stopped goes on from them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from profiler.errors import InputError, OutputError
from profiler.util.json_files import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from profiler.run.sweep_points import SweepPoint
    from profiler.run.sweep_process import Row

_SUFFIX = ".rows.jsonl"


class SweepJournal:
    """A file beside the output with a line of JSON for each row."""

    def __init__(self, output: Path) -> None:
        """Take the file's path from the path of the output."""
        self.path = output.with_name(output.name + _SUFFIX)

    def rows(self, points: Iterable[SweepPoint]) -> dict[SweepPoint, Row]:
        """Return the rows of those *points* that are done.

        Raises:
            InputError: The file cannot be read, or a line of it is not complete.
        """
        if not self.path.exists():
            return {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            msg = f"cannot read {self.path}, the rows of an earlier sweep: {error}; remove it to start anew"
            raise InputError(msg) from error
        done = [self._row(number, line) for number, line in enumerate(lines, 1)]
        return {point: row for point in points for row in done if asdict(point).items() <= row.items()}

    def add(self, row: Row) -> None:
        """Append a row.

        Raises:
            OutputError: The file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            msg = f"cannot write {self.path}: {error.strerror or error}"
            raise OutputError(msg) from error

    def remove(self) -> None:
        """Remove the file: the output has all rows."""
        self.path.unlink(missing_ok=True)

    def _row(self, number: int, line: str) -> Row:
        try:
            row = parse_json(line, self.path, InputError)
        except InputError:
            row = None
        if not isinstance(row, dict) or not {"target", "status"} <= row.keys():
            msg = f"{self.path}, line {number}, is no whole row of a sweep; remove that line, or the file to start anew"
            raise InputError(msg)
        return row
