"""Run the model of a measure."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING

from profiler.api import profile
from profiler.counting import forward, wants_values
from profiler.errors import ClaimError, InputError, ModelError
from profiler.targets import build, make_inputs
from profiler.targets.families import find_family
from profiler.targets.packages import without_warnings
from profiler.targets.sizes import Sized, is_in_sizes
from profiler.training import checkpointed, count_step, freeze, make_optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from torch import nn

    from profiler.derive import Point
    from profiler.documents import Measure
    from profiler.tally import Profile
    from profiler.targets import Target

#: A measure at which setting: what has the same key is run once.
Key = tuple[object, ...]
family = cache(find_family)


def run(measure: Measure, point: Point) -> Profile:
    """Run the model of a measure on ``meta``, or on the CPU where it needs values.

    Raises:
        ProfilerError: A name in it is wrong, or the model failed.
    """
    target = sized(measure, point).target(point)
    with without_warnings():
        if measure.values or target.prefers == "cpu":
            return _run_on("cpu", target, measure)
        try:
            return _run_on("meta", target, measure)
        except ModelError as error:
            if not wants_values(error):
                raise
        return _run_on("cpu", target, measure)


def make(measure: Measure, point: Point) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Make the model of a measure on the CPU, with its inputs."""
    target = sized(measure, point).target(point)
    model = build(target, device="cpu", dtype=measure.dtype)
    return (model, *make_inputs(target, model, _specs(measure), batch=measure.batch, device="cpu"))


def key_of(measure: Measure, point: Mapping[str, int]) -> Key:
    """Say what makes one run of a model differ from another."""
    asked = (measure.target, measure.input, str(measure.set), measure.batch, measure.dtype, measure.values)
    return (*asked, measure.train, measure.optimizer, measure.checkpoint, measure.freeze, str(sorted(point.items())))


def sized(measure: Measure, point: Point) -> Sized:
    """Put the sizes of a setting into a model and its inputs.

    Raises:
        ClaimError: A shape or a setting cannot be read.
    """
    assert measure.target is not None  # noqa: S101 - a device has no sizes
    settings = tuple(f"{name}={value}" for name, value in measure.set.items())
    shapes = tuple(text for text in measure.input if is_in_sizes(text))
    try:
        return Sized(family(measure.target), tuple(point), shapes, settings)
    except InputError as error:
        raise ClaimError(str(error)) from error


def _run_on(device: str, target: Target, measure: Measure) -> Profile:
    model = build(target, device=device, dtype=measure.dtype)
    if measure.count == "params":
        with profile(model) as unrun:
            pass
        return unrun.result
    args, kwargs = make_inputs(target, model, _specs(measure), batch=measure.batch, device=device)
    return _step(measure, model, args, kwargs) if measure.train else forward(model, args, kwargs)


def _step(measure: Measure, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
    model.train()
    freeze(model, measure.freeze)
    optimizer = make_optimizer(measure.optimizer, model) if measure.optimizer else None
    with checkpointed(model) if measure.checkpoint else nullcontext():
        return count_step(model, *args, optimizer=optimizer, **kwargs)


def _specs(measure: Measure) -> list[str]:
    return [text for text in measure.input if not is_in_sizes(text)]
