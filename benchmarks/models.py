"""The models that the benchmarks run: by a target's name, once in a session."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from profiler.targets import build, make_inputs, resolve

if TYPE_CHECKING:
    from torch import nn

Call = tuple["nn.Module", tuple[Any, ...], dict[str, Any]]


@cache
def ready(name: str, device: str = "cpu", *inputs: str) -> Call:
    """Build a model and its inputs."""
    target = resolve(name)
    model = build(target, device=device)
    args, kwargs = make_inputs(target, model, list(inputs), device=device)
    return model, tuple(args), kwargs
