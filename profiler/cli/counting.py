"""From the words of a command to a profile: resolve the target, build it, make its inputs, run it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from profiler.api import count
from profiler.errors import InputError, ModelError, one_line
from profiler.targets import build, make_inputs, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from profiler.tally import Profile
    from profiler.targets import Target


def count_target(
    name: str, *, specs: Sequence[str], batch: int | None, dtype: str, device: str, say: Callable[[str], None]
) -> Profile:
    """Count one forward pass of a named model.

    With the device "auto" it runs on ``meta``, and on the CPU where its control flow needs values.

    Raises:
        ProfilerError: The name, an input, the dtype or the device is wrong, or the model raised.
    """
    target = resolve(name)
    kind = _dtype(dtype)
    if device != "auto":
        return _run(target, specs, batch, kind, _device(device))
    if target.prefers == "cpu":
        say(f"{name} needs real values; running on the CPU")
        return _run(target, specs, batch, kind, torch.device("cpu"))
    try:
        return _run(target, specs, batch, kind, torch.device("meta"))
    except ModelError as error:
        if not _wants_values(error):
            raise
        say(f"{name} needs real values ({one_line(error.__cause__ or error)}); running on the CPU")
        return _run(target, specs, batch, kind, torch.device("cpu"))


def _run(
    target: Target, specs: Sequence[str], batch: int | None, dtype: torch.dtype, device: torch.device
) -> Profile:
    args, kwargs = make_inputs(target, specs, batch, dtype, device)
    return count(build(target, device=device, dtype=dtype), *args, **kwargs)


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        msg = f"no floating dtype named {name!r}; write float32, bfloat16, float16 or float64"
        raise InputError(msg)
    return found


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        msg = f"no device {name!r} here ({one_line(error)}); write auto, meta, cpu or cuda"
        raise InputError(msg) from error
    return device


def _wants_values(error: ModelError) -> bool:
    """Say whether a model failed because ``meta`` has no values: torch says so in either of two ways."""
    cause = error.__cause__
    return isinstance(cause, NotImplementedError) or "meta" in str(cause).lower() or "data-dependent" in str(cause)
