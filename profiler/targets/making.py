"""Make a named model with its inputs, the same every time: for a process that builds it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.targets.building import build
from profiler.targets.inputs import make_inputs
from profiler.targets.sources import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def make(
    name: str,
    specs: Sequence[str] = (),
    *,
    batch: int | None = None,
    dtype: str | None = None,
    device: str = "cpu",
) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Build what *name* stands for, in eval mode, and what it is called with.

    Raises:
        ProfilerError: The name, an input, the dtype or the device is wrong, or the model cannot be built.
    """
    target = resolve(name)
    model = build(target, device=device, dtype=dtype)
    args, kwargs = make_inputs(target, model, specs, batch=batch, device=device)
    return model, args, kwargs
