"""A calibration as text: the fitted shares, and the errors before and after."""

from __future__ import annotations

from statistics import fmean, median
from typing import TYPE_CHECKING

from profiler.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from profiler.projection.calibration import Calibration
    from profiler.report.tables import Side

_COLUMNS: dict[str, Side] = {"class": "left", "share of peak": "right", "share of bandwidth": "right"}


def text(calibration: Calibration, device: str, output: Path | None) -> str:
    """Format a calibration; *output* is the file of its table."""
    fitted = calibration.table
    measured = sorted({class_ for sample in calibration.samples for class_ in sample.ideals})
    low, high = fitted.validation.ranges[device] if fitted.validation is not None else (1.0, 1.0)
    lines = [
        f"{device}, {fitted.mode}, {fitted.step}: {len(calibration.samples)} passes",
        "",
        f"error of the package's own table  {_errors(calibration.errors_before)}",
        f"error on a third kept back        {_errors(calibration.errors_after)}",
        f"90 % of the times are within      {low:.2f} to {high:.2f} × estimate",
        f"a kernel takes at least           {fitted.kernel_us:.2f} µs",
        "",
        table(_COLUMNS, [(name, _share(fitted.compute, name), _share(fitted.memory, name)) for name in measured]),
        "",
    ]
    if calibration.unmeasured:
        lines.append(f"not measured, as in the package: {', '.join(calibration.unmeasured)}")
    lines.append(f"written to {output}" if output else "nothing is written; name a file with --output")
    return "\n".join(lines) + "\n"


def _errors(errors: Sequence[float]) -> str:
    return f"mean {fmean(errors):.1%}, median {median(errors):.1%}"


def _share(shares: dict[str, float], class_: str) -> str:
    return f"{shares[class_]:.2f}" if class_ in shares else ""
