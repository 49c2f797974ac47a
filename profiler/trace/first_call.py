"""The arguments of the first call of a model, under the names that its ``forward`` has for them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from profiler.trace.argument_specs import SpecCache, detach

if TYPE_CHECKING:
    from torch import nn

    from profiler.values.records import Value


def named_arguments(
    model: nn.Module | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[str, Value], ...]:
    """Return the arguments of a call of *model* by name, without their tensors."""
    specs = SpecCache()
    arguments = dict(zip(_parameter_names(model, len(args)), args, strict=False)) | kwargs
    return tuple((name, detach(specs.spec(value))) for name, value in arguments.items())


def _parameter_names(model: nn.Module | None, count: int) -> list[str]:
    try:
        names = list(inspect.signature(model.forward).parameters) if model is not None else []
    except (TypeError, ValueError):
        names = []
    return [*names[:count], *(f"input{i}" for i in range(len(names), count))]
