"""From the words of a command to a profile: resolve the target, build it, make its inputs, run it once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from profiler.api import count
from profiler.errors import ModelError, one_line
from profiler.targets import build, make_inputs, resolve
from profiler.training import with_allocator_peak

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from profiler.tally import Profile
    from profiler.targets import Target

    Run = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Profile]


def count_target(
    name: str,
    *,
    specs: Sequence[str],
    batch: int | None,
    dtype: str | None,
    device: str,
    say: Callable[[str], None],
    run: Run | None = None,
) -> Profile:
    """Count one forward pass of a named model, or what *run* does with it.

    With the device "auto" it runs on ``meta``, and on the CPU where its control flow needs values.

    Raises:
        ProfilerError: The name, an input, the dtype or the device is wrong, or the model raised.
    """
    target = resolve(name)
    if target.note:
        say(target.note)
    if device != "auto":
        return _run(target, specs, batch, dtype, device, run)
    if target.prefers == "cpu":
        say(f"{name} needs real values; running on the CPU")
        return _run(target, specs, batch, dtype, "cpu", run)
    try:
        return _run(target, specs, batch, dtype, "meta", run)
    except ModelError as error:
        if not wants_values(error):
            raise
        say(f"{name} needs real values ({one_line(error.__cause__ or error)}); running on the CPU")
        return _run(target, specs, batch, dtype, "cpu", run)


def _run(
    target: Target, specs: Sequence[str], batch: int | None, dtype: str | None, device: str, run: Run | None
) -> Profile:
    model = build(target, device=device, dtype=dtype)
    args, kwargs = make_inputs(target, model, specs, batch=batch, device=device)
    return (run or forward)(model, args, kwargs)


def forward(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
    """Count one forward pass."""
    with torch.inference_mode():  # attention then arrives with its mask, which its decomposition on meta hides
        return with_allocator_peak(count(model, *args, **kwargs), partial(model, *args, **kwargs))


def wants_values(error: ModelError) -> bool:
    """Say whether a model failed because ``meta`` has no values: torch says so in either of two ways."""
    cause = error.__cause__
    return isinstance(cause, NotImplementedError) or "meta" in str(cause).lower() or "data-dependent" in str(cause)
