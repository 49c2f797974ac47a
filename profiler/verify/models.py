"""Run the model of a measure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from profiler.errors import ClaimError, InputError
from profiler.run.forward import count_forward
from profiler.run.runner import Runner
from profiler.run.step_options import StepOptions
from profiler.tally import tally
from profiler.targets import build, make_inputs
from profiler.targets.optional_imports import without_warnings
from profiler.targets.registry import find_configurable_target
from profiler.targets.sized_target import SizedTarget, is_symbolic_shape
from profiler.trace import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from torch import nn

    from profiler.derive import Point
    from profiler.documents import MeasureSpec
    from profiler.run.runner import Run
    from profiler.tally import Profile

#: A measure at which setting: what has the same key is run once.
Key = tuple[object, ...]
family = cache(find_configurable_target)


def run(measure: MeasureSpec, point: Point) -> Profile:
    """Run the model of a measure on ``meta``, or on the CPU where it needs values.

    Raises:
        ProfilerError: A name in it is wrong, or the model failed.
    """
    target = sized(measure, point).target(point)
    runner = Runner(_work(measure), device="cpu" if measure.values else "auto", dtype=measure.dtype)
    with without_warnings():
        if measure.count == "params":
            return _count_parameters(runner.build(target))
        return runner(target, _specs(measure), batch=measure.batch)


def make(measure: MeasureSpec, point: Point) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Make the model of a measure on the CPU, with its inputs."""
    target = sized(measure, point).target(point)
    model = build(target, device="cpu", dtype=measure.dtype)
    return (model, *make_inputs(target, model, _specs(measure), batch=measure.batch, device="cpu"))


def key_of(measure: MeasureSpec, point: Mapping[str, int]) -> Key:
    """Say what makes one run of a model differ from another."""
    asked = (measure.target, measure.input, str(measure.set), measure.batch, measure.dtype, measure.values)
    return (*asked, measure.train, measure.optimizer, measure.checkpoint, measure.freeze, str(sorted(point.items())))


def sized(measure: MeasureSpec, point: Point) -> SizedTarget:
    """Put the sizes of a setting into a model and its inputs.

    Raises:
        ClaimError: A shape or a setting cannot be read.
    """
    assert measure.target is not None  # noqa: S101 - a device has no sizes
    settings = tuple(f"{name}={value}" for name, value in measure.set.items())
    shapes = tuple(text for text in measure.input if is_symbolic_shape(text))
    try:
        return SizedTarget(family(measure.target), tuple(point), shapes, settings)
    except InputError as error:
        raise ClaimError(str(error)) from error


def _count_parameters(model: nn.Module) -> Profile:
    """Return the profile of a model that did not run."""
    session = Session(model)
    with session:
        pass
    return tally(session.trace())


def _work(measure: MeasureSpec) -> Run:
    return StepOptions(measure.optimizer, measure.checkpoint, measure.freeze) if measure.train else count_forward


def _specs(measure: MeasureSpec) -> list[str]:
    return [text for text in measure.input if not is_symbolic_shape(text)]
