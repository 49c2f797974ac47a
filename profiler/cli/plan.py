"""``profiler plan PIPELINE``: several models, each at its own rate, on one device or several."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.device_options import resolve_device
from profiler.cli.output import note
from profiler.errors import CheckFailedError, PlanError, ProfilerError
from profiler.projection.efficiency import UTILISATION
from profiler.projection.pipeline_file import Stage, read_pipeline
from profiler.projection.pipeline_plan import Counted
from profiler.projection.pipeline_plan import plan as put_together
from profiler.projection.precision import STORED_BYTES, choose
from profiler.report.pipeline_tables import text
from profiler.run.count_target import count_target
from profiler.run.generation import count_generation

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.devices import Device
    from profiler.tally import Profile


@app.command
def plan(
    pipeline: str,
    /,
    *,
    on: str | None = None,
    precision: str | None = None,
    utilisation: float = UTILISATION,
    strict: bool = False,
    format: Annotated[Literal["text", "json"], Parameter(alias="-f")] = "text",
    quiet: Annotated[bool, Parameter(alias="-q")] = False,
) -> None:
    """Put the stages of a pipeline on devices: shared load, latency, required TOPS, memory together.

    Args:
        pipeline: A TOML file with [[stages]], or one that is shipped: `vision-language`, `speech-to-speech`.
        on: The device of every stage that names none; as for a single model.
        precision: The precision of every stage that names none.
        utilisation: Share of the peak to plan with; 0.3 is the lowest of eleven MLPerf results.
        strict: Exit with status 1 where a device cannot hold or sustain its stages.
        format: How to write it: text or json.
        quiet: Say nothing on stderr.
    """
    found = read_pipeline(pipeline)
    devices = [_device(stage, on) for stage in found.stages]
    pairs = zip(found.stages, devices, strict=True)
    counted = [_count(stage, device, precision, lambda m: note(m, quiet=quiet)) for stage, device in pairs]
    planned = put_together(found.name, counted, utilisation)
    if format == "json":
        sys.stdout.write(json.dumps({"plan": asdict(planned) | {"fits": planned.fits}}, indent=1) + "\n")
    else:
        sys.stdout.write(text(planned))
    if strict and not planned.fits:
        over = ", ".join(device.device for device in planned.devices if not device.fits)
        msg = f"--strict: {over} cannot hold or sustain what {found.name} puts on it"
        raise CheckFailedError(msg)


def _device(stage: Stage, on: str | None) -> Device:
    """Find the device of a stage, its own before the command's."""
    name = stage.device or on
    if name is None:
        msg = f"stage {stage.name!r} names no device; give it one, or the command --on"
        raise PlanError(msg)
    return resolve_device(name)


def _count(stage: Stage, device: Device, precision: str | None, say: Callable[[str], None]) -> Counted:
    """Count a stage's model.

    Raises:
        PlanError: It cannot be built, or does not run.
    """
    wanted = stage.precision or precision
    try:
        if stage.tokens_per_s is None:
            return Counted(stage, _pass(stage, say), device, wanted)
        prefill, step, elements = count_generation(stage.target, stage.batch or 1, stage.prompt or 1)
    except ProfilerError as error:
        msg = f"stage {stage.name!r}: {error}"
        raise PlanError(msg) from error
    width = STORED_BYTES[choose(step, device, wanted).activations]
    return Counted(stage, step, device, wanted, prefill, int(elements * width))


def _pass(stage: Stage, say: Callable[[str], None]) -> Profile:
    return count_target(stage.target, specs=stage.input, batch=stage.batch, notify=say)
