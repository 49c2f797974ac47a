"""``profiler plan PIPELINE``: several models, each at its own rate, on one device or on several."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit, note
from profiler.cli.subjects import OUTPUT, PLAN, examples
from profiler.errors import CheckFailedError
from profiler.report.pipeline_tables import PIPELINE_FORMATS

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*PIPELINE_FORMATS.names()]


@app.command(
    group=PLAN,
    help_epilogue=examples(
        "profiler plan vision-language --on l4",
        "profiler plan vision-language --on l4 --precision bf16 --format json",
    ),
)
def plan(
    pipeline: str,
    /,
    *,
    on: str | None = None,
    precision: str | None = None,
    utilisation: float | None = None,
    strict: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Plan a pipeline of several models on devices.

    Shows the load and memory of each device, the latency, and the required TOPS.

    Args:
        pipeline: A TOML file with [[stages]], or one of the package: `vision-language`, `speech-to-speech`.
        on: The device of every stage that names none; see `--on` of the default command.
        precision: The precision of every stage that names none.
        utilisation: Fraction of the peak that the required TOPS assume; by default that of each stage's estimate.
        strict: Exit with status 1 if a device lacks the memory or the speed for its stages.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
    """
    from profiler.projection.pipeline_file import read_pipeline
    from profiler.projection.pipeline_plan import plan_pipeline
    from profiler.run.count_stage import count_stage, stage_device

    document = read_pipeline(pipeline)
    devices = [stage_device(stage, on) for stage in document.stages]
    pairs = zip(document.stages, devices, strict=True)
    counted = [count_stage(stage, device, precision, partial(note, quiet=quiet)) for stage, device in pairs]
    planned = plan_pipeline(document.name, counted, utilisation)
    emit(PIPELINE_FORMATS.render(planned, format), output)
    if strict and not planned.fits:
        overloaded = ", ".join(device.device for device in planned.devices if not device.fits)
        msg = f"--strict: {overloaded} does not have the memory or the speed for the stages of {planned.name}"
        raise CheckFailedError(msg)
