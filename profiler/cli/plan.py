"""``profiler plan PIPELINE``: several models, each at its own rate, on one device or several."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from cyclopts import Parameter

from profiler.api import count
from profiler.cli.app import app
from profiler.cli.output import note
from profiler.cli.projecting import resolve_device
from profiler.counting import count_target
from profiler.errors import CheckFailedError, PlanError, ProfilerError
from profiler.project.pipelines import Stage, read_pipeline
from profiler.project.plan import Counted
from profiler.project.plan import plan as put_together
from profiler.project.schemes import STORED_BYTES, choose
from profiler.project.shares import UTILISATION
from profiler.report.plan import text
from profiler.targets import make

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
        prefill, step, elements = _generation(stage)
    except ProfilerError as error:
        msg = f"stage {stage.name!r}: {error}"
        raise PlanError(msg) from error
    width = STORED_BYTES[choose(step, device, wanted).activations]
    return Counted(stage, step, device, wanted, prefill, int(elements * width))


def _pass(stage: Stage, say: Callable[[str], None]) -> Profile:
    return count_target(stage.target, specs=stage.input, batch=stage.batch, dtype=None, device="auto", say=say)


def _generation(stage: Stage) -> tuple[Profile, Profile, int]:
    """Count reading the prompt, and one step after it with the model's own cache; and the cache's elements.

    Raises:
        PlanError: The model keeps no cache that can be handed to its next step.
    """
    batch = stage.batch or 1
    model, args, kwargs = make(stage.target, [f"input_ids={batch}x{stage.prompt}"], device="meta")
    with torch.inference_mode():
        prefill = count(model, *args, **kwargs)
        cache = getattr(model(*args, **kwargs, use_cache=True), "past_key_values", None)
        if cache is None:
            msg = f"{stage.target} returns no past_key_values; a stage with tokens_per_s needs a language model"
            raise PlanError(msg)
        elements = sum(tensor.numel() for tensor in _tensors(cache))
        last = torch.zeros(batch, 1, dtype=torch.int64, device="meta")
        step = count(model, input_ids=last, past_key_values=cache, use_cache=True)
    return prefill, step, elements


def _tensors(cache: Any) -> list[torch.Tensor]:
    """List the tensors of a cache of transformers."""
    held = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    return [tensor for tensor in held if isinstance(tensor, torch.Tensor)]
