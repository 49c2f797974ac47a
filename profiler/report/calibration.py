"""A calibration as text, Markdown, CSV and JSON: the fitted shares, and the errors before and after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

from profiler.escaping import markdown as markdown_text
from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from profiler.projection.calibration import Calibration
    from profiler.report.tables import Side

_COLUMNS: dict[str, Side] = {"class": "left", "share of peak": "right", "share of bandwidth": "right"}


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """A calibration, the device that was measured, and the file of the table, if it was written."""

    calibration: Calibration
    device: str
    output: Path | None

    @property
    def classes(self) -> list[str]:
        """The classes of operators that the measurements hold."""
        return sorted({class_ for sample in self.calibration.samples for class_ in sample.ideals})

    @property
    def range(self) -> tuple[float, float]:
        """The factors of the estimate between which 90 % of the times are."""
        validation = self.calibration.table.validation
        return validation.ranges[self.device] if validation is not None else (1.0, 1.0)

    @property
    def heading(self) -> str:
        """What was measured."""
        fitted = self.calibration.table
        return f"{self.device}, {fitted.mode}, {fitted.step}: {len(self.calibration.samples)} passes"

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The fitted shares of each class of operators."""
        fitted = self.calibration.table
        return [(name, _share(fitted.compute, name), _share(fitted.memory, name)) for name in self.classes]

    @property
    def errors(self) -> list[tuple[str, str]]:
        """How far off the estimates are."""
        low, high = self.range
        return [
            ("error of the package's own table", _errors(self.calibration.errors_before)),
            ("error on a third kept back", _errors(self.calibration.errors_after)),
            ("90 % of the times are within", f"{low:.2f} to {high:.2f} × estimate"),
            ("a kernel takes at least", f"{self.calibration.table.kernel_us:.2f} µs"),
        ]

    @property
    def notes(self) -> list[str]:
        """What was not measured, and where the table is."""
        unmeasured = ", ".join(self.calibration.unmeasured)
        notes = [f"not measured, as in the package: {unmeasured}"] if unmeasured else []
        where = f"written to {self.output}" if self.output else "nothing is written; name a file with --output"
        return [*notes, where]


CALIBRATION_FORMATS: Formats[CalibrationReport] = Formats()


@CALIBRATION_FORMATS.register("text")
def to_text(report: CalibrationReport) -> str:
    """Write the errors and the shares."""
    errors = [f"{label:34}{value}" for label, value in report.errors]
    lines = [report.heading, "", *errors, "", table(_COLUMNS, report.rows), "", *report.notes]
    return "\n".join(lines) + "\n"


@CALIBRATION_FORMATS.register("markdown")
def to_markdown(report: CalibrationReport) -> str:
    """Write the same as Markdown."""
    errors = "\n".join(f"- {label}: {value}" for label, value in report.errors)
    notes = map(markdown_text, report.notes)
    return page(markdown_text(report.heading), errors, markdown_table(_COLUMNS, report.rows), *notes)


@CALIBRATION_FORMATS.register("csv")
def to_csv(report: CalibrationReport) -> str:
    """Write a line a class of operators."""
    fitted = report.calibration.table
    rows = ((name, fitted.compute.get(name), fitted.memory.get(name)) for name in report.classes)
    return csv_table(_COLUMNS, rows)


@CALIBRATION_FORMATS.register("json")
def to_json(report: CalibrationReport) -> str:
    """Write the shares, and every error."""
    calibration, fitted = report.calibration, report.calibration.table
    document = {
        "schema": "profiler-calibration/1",
        "device": report.device,
        "mode": fitted.mode,
        "step": fitted.step,
        "passes": len(calibration.samples),
        "kernel_us": fitted.kernel_us,
        "compute": {name: fitted.compute.get(name) for name in report.classes},
        "memory": {name: fitted.memory.get(name) for name in report.classes},
        "range": list(report.range),
        "errors_before": list(calibration.errors_before),
        "errors_after": list(calibration.errors_after),
        "unmeasured": list(calibration.unmeasured),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _errors(errors: Sequence[float]) -> str:
    return f"mean {fmean(errors):.1%}, median {median(errors):.1%}"


def _share(shares: dict[str, float], class_: str) -> str:
    return f"{shares[class_]:.2f}" if class_ in shares else ""
