"""Build and run the models of measures."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from profiler.errors import ClaimError, InputError
from profiler.run.attention import sdpa_kernels
from profiler.run.forward import count_forward
from profiler.run.runner import Runner
from profiler.run.step_options import StepOptions
from profiler.tally import tally
from profiler.targets import build_called, make_inputs
from profiler.targets.optional_imports import without_warnings
from profiler.targets.registry import find_configurable_target
from profiler.targets.sized_target import SizedTarget, is_symbolic_shape
from profiler.trace import Session
from profiler.util.permissions import Permissions, permissions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from torch import nn

    from profiler.derive import Point
    from profiler.documents import MeasureSpec
    from profiler.run.runner import Run
    from profiler.tally import Profile
    from profiler.targets.configurable import ConfigurableTarget

#: Identifies a run of a model or a query of a peer; used as a cache key.
Key = tuple[object, ...]


def configurable_target(name: str) -> ConfigurableTarget:
    """Return the model called *name*, found once for each name and permission."""
    return _find(name, permissions())


@cache
def _find(name: str, _: Permissions) -> ConfigurableTarget:
    return find_configurable_target(name)


def run_model(measure: MeasureSpec, point: Point) -> Profile:
    """Run the model of a measure at one setting, on ``meta`` or, if it needs values, on the CPU.

    The documents count attention as its products. A training step composes it of them: the fused kernel computes the
    scores once more in backward.

    Raises:
        ProfilerError: A name in the measure is unknown, or the model failed.
    """
    target = sized_target(measure, point).target(point)
    runner = Runner(_workload(measure), device="cpu" if measure.values else "auto", dtype=measure.dtype)
    with without_warnings(), sdpa_kernels("math" if measure.train else "flash"):
        if measure.count == "params":
            return _count_parameters(runner.build(target))
        return runner(target, _input_specs(measure), batch=measure.batch)


def make_model(measure: MeasureSpec, point: Point) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Build the model of a measure on the CPU, and its positional and keyword inputs."""
    target = sized_target(measure, point).target(point)
    model, target = build_called(target, device="cpu", dtype=measure.dtype)
    return (model, *make_inputs(target, model, _input_specs(measure), batch=measure.batch, device="cpu"))


def run_key(measure: MeasureSpec, point: Mapping[str, int]) -> Key:
    """Return the fields of a measure that its run depends on, with the setting."""
    inputs = (measure.target, measure.input, str(measure.set), measure.batch, measure.dtype, measure.values)
    return (*inputs, measure.train, measure.optimizer, measure.checkpoint, measure.freeze, str(sorted(point.items())))


def sized_target(measure: MeasureSpec, point: Point) -> SizedTarget:
    """Return the model of a measure, with its settings and input shapes as formulas in the names of *point*.

    Raises:
        ClaimError: A shape or a setting cannot be parsed.
    """
    assert measure.target is not None  # noqa: S101 - a device has no sizes
    settings = tuple(f"{name}={value}" for name, value in measure.set.items())
    shapes = tuple(text for text in measure.input if is_symbolic_shape(text))
    try:
        return SizedTarget(configurable_target(measure.target), tuple(point), shapes, settings)
    except InputError as error:
        raise ClaimError(str(error)) from error


def _count_parameters(model: nn.Module) -> Profile:
    """Return the profile of a model that does not run."""
    session = Session(model)
    with session:
        pass
    return tally(session.trace())


def _workload(measure: MeasureSpec) -> Run:
    return StepOptions(measure.optimizer, measure.checkpoint, measure.freeze) if measure.train else count_forward


def _input_specs(measure: MeasureSpec) -> list[str]:
    return [text for text in measure.input if not is_symbolic_shape(text)]
