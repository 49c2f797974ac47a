"""Count the model of a pipeline's stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.errors import PlanError, ProfilerError
from profiler.projection.pipeline_plan import CountedStage
from profiler.projection.precision import STORED_BYTES, choose_precision
from profiler.projection.this_machine import find_device_and_model
from profiler.run.count_target import count_target
from profiler.run.generation import count_generation

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.pipeline_file import Stage
    from profiler.run.runner import Notify


def stage_device(stage: Stage, default: str | None) -> Device:
    """Return the device of a stage: its own, or else the one named *default*.

    Raises:
        PlanError: There is neither.
        ProfilerError: There is no such device, or several devices match.
    """
    name = stage.device or default
    if name is None:
        msg = f"stage {stage.name!r} names no device; add `device` to the stage, or --on to the command"
        raise PlanError(msg)
    return find_device_and_model(name)[0]


def count_stage(stage: Stage, device: Device, precision: str | None, notify: Notify) -> CountedStage:
    """Count one pass of a stage; of a stage that generates text, the prefill and one decoding step.

    Args:
        stage: The stage.
        device: Its device.
        precision: The precision of a stage that names none.
        notify: Called with each note for the user.

    Raises:
        PlanError: The model cannot be built, or raised.
        ProfilerError: The device lacks the precision.
    """
    precision = stage.precision or precision
    try:
        if stage.tokens_per_s is None:
            profile = count_target(stage.target, specs=stage.input, batch=stage.batch, notify=notify)
            return CountedStage(stage, profile, device, precision)
        prefill, step, cache_elements = count_generation(stage.target, stage.batch or 1, stage.prompt or 1)
    except ProfilerError as error:
        msg = f"stage {stage.name!r}: {error}"
        raise PlanError(msg) from error
    width = STORED_BYTES[choose_precision(step, device, precision).activations]
    return CountedStage(stage, step, device, precision, prefill, int(cache_elements * width))
