"""``profiler calibrate MEASURED.csv --on DEVICE``: fit the estimate of time to a user's own measurements."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit, note, working
from profiler.cli.subjects import OUTPUT, PLAN, examples
from profiler.report.calibration import CALIBRATION_FORMATS, CalibrationReport
from profiler.util.files import write_whole
from profiler.values.modes import Mode, Step

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*CALIBRATION_FORMATS.names()]


@app.command(
    group=PLAN,
    help_epilogue=examples(
        "profiler calibrate measured.csv --on l4 --output my-l4.toml",
        "profiler calibrate measured.csv --on l4 --mode compiled",
    ),
)
def calibrate(
    measured: Path,
    /,
    *,
    on: str,
    mode: Mode | None = None,
    step: Step = "inference",
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Fit the estimate of time to your own measurements.

    A third of them is kept back, to say how far off the estimate is.

    Args:
        measured: A CSV file with a row per pass: the columns `target` and `ms`, and if needed `batch`, `input`,
            `precision` (fp32, fp16, bf16, amp, int8 …), `mode`, `step` and `device`.
        on: The device that was measured; see `--on` of the default command. Rows that name another are left out.
        mode: The mode in which the models ran; rows that name another are left out. By default that of the first row.
        step: Whether they ran inference or training steps; rows that name the other are left out.
        format: Output format.
        output: File to write the time table to, for `--efficiency`.
        quiet: Print nothing on stderr.
    """
    from profiler.projection.this_machine import find_device_and_model
    from profiler.projection.time_table_files import format_time_table
    from profiler.run.calibrate import calibrate as fit_table
    from profiler.run.measured_passes import comparable, first_mode, read_measured_passes

    device, _ = find_device_and_model(on)
    rows = read_measured_passes(measured, step=step)
    mode = mode or first_mode(rows, device)
    passes = comparable(rows, device, mode, step)
    warn = partial(note, quiet=quiet)
    if len(passes) < len(rows):
        warn(f"{len(rows) - len(passes)} of {len(rows)} rows are of another device, mode or step, and left out")
    with working(f"counting {len(passes)} passes", quiet=quiet):
        calibration = fit_table(passes, device, mode, step, source=measured.name)
    for warning in calibration.warnings:
        warn(warning)
    if output is not None:
        write_whole(output, format_time_table(calibration.table))
    emit(CALIBRATION_FORMATS.render(CalibrationReport(calibration, device.id, output), format), None)
