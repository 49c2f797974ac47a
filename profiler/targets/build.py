"""Build a target's module: on any device, in any dtype, with the same initial values every time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError, ModelError, ProfilerError, one_line
from profiler.targets.inputs import make_inputs
from profiler.targets.meta_init import construct_on_meta
from profiler.targets.registry import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from profiler.targets.target import Target


def build(target: Target, *, device: torch.device | str = "meta", dtype: torch.dtype | str | None = None) -> nn.Module:
    """Build a target's module, in eval mode.

    *dtype* is that of the floating parameters and buffers; None leaves each as its constructor made it. On ``meta`` no
    parameter is ever allocated. The global random state is afterwards what it was.

    Raises:
        ModelError: The constructor raised.
        TargetError: What it returned is no module.
        InputError: There is no such device or dtype.
    """
    place, kind = _device(device), _dtype(dtype)
    try:
        with _seeded():
            module = construct_on_meta(target.construct) if place.type == "meta" else target.construct().to(place)
        return _cast(module, kind).eval()
    except ProfilerError:
        raise
    except Exception as error:
        msg = f"{target.name} cannot be built: {one_line(error)}"
        raise ModelError(msg) from error


def build_with_inputs(
    name: str,
    specs: Sequence[str] = (),
    *,
    batch: int | None = None,
    dtype: str | None = None,
    device: str = "cpu",
) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Build the model that *name* stands for, in eval mode, and the arguments it is called with.

    The result is the same every time, so that another process can build the model again.

    Raises:
        ProfilerError: The name, an input, the dtype or the device is wrong, or the model cannot be built.
    """
    target = resolve(name)
    model = build(target, device=device, dtype=dtype)
    args, kwargs = make_inputs(target, model, specs, batch=batch, device=device)
    return model, args, kwargs


def _device(device: torch.device | str) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        msg = f"no device {str(device)!r} here ({one_line(error)}); write meta, cpu or cuda"
        raise InputError(msg) from error
    return found


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is None or (isinstance(found, torch.dtype) and found.is_floating_point):
        return found
    msg = f"no floating dtype {str(dtype)!r}; write float32, bfloat16, float16 or float64"
    raise InputError(msg)


@contextmanager
def _seeded() -> Iterator[None]:
    """Fix the CPU's random numbers inside; put the state back afterwards."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(0)
        yield


def _cast(module: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    """Convert what is floating; ``Module.to`` would convert complex tensors too, and lose their imaginary parts."""
    if dtype is not None:
        module._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
    return module
