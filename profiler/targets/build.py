"""Build the module of a target on any device and in any dtype, with the same initial values every time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError, ModelError, ProfilerError, one_line
from profiler.escaping import quoted
from profiler.targets.given_inputs import arguments_of
from profiler.targets.inputs import make_inputs
from profiler.targets.meta_init import construct_on_meta
from profiler.targets.registry import resolve
from profiler.targets.signatures import ForwardSignature
from profiler.targets.target import ModuleWithInputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from profiler.targets.target import Target


def build(target: Target, *, device: torch.device | str = "meta", dtype: torch.dtype | str | None = None) -> nn.Module:
    """Build the module of *target*, in eval mode.

    On ``meta`` no memory is allocated for parameters. On other devices they have random initial values, from a fixed
    seed. The global random state is restored.

    Args:
        target: What to build, from ``resolve``.
        device: Where the parameters and buffers are.
        dtype: Dtype of the floating-point parameters and buffers; None leaves each as the constructor made it.

    Raises:
        ModelError: The constructor raised; the original error is the ``__cause__``.
        TargetError: A factory returned something other than an ``nn.Module``.
        InputError: The device is not available, or the dtype does not exist or is not floating-point.

    Example:
        >>> from profiler.targets import resolve
        >>> module = build(resolve("resnet18"), dtype="bfloat16")
        >>> module.fc.weight.device, module.fc.weight.dtype
        (device(type='meta'), torch.bfloat16)
    """
    return build_called(target, device=device, dtype=dtype)[0]


def build_called(
    target: Target, *, device: torch.device | str = "meta", dtype: torch.dtype | str | None = None
) -> tuple[nn.Module, Target]:
    """Build the module of *target*, as ``build`` does; return *target* with the inputs that its factory returned too.

    A factory may return ``(model, args)``, ``(model, kwargs)`` or ``(model, args, kwargs)``.

    Raises:
        ProfilerError: As for ``build``.
        InputError: The inputs are too many, or nested too deep.
    """
    to_device, to_dtype = _device(device), floating_dtype(dtype)
    try:
        with _seeded():
            made = construct_on_meta(target.construct) if to_device.type == "meta" else target.construct()
        module = made.module if isinstance(made, ModuleWithInputs) else made
        module = _cast(module if to_device.type == "meta" else module.to(to_device), to_dtype).eval()
        if not isinstance(made, ModuleWithInputs):
            return module, target
        inputs = arguments_of(made.inputs, ForwardSignature.of(target.name, module))
        return module, replace(target, inputs=inputs)
    except (ProfilerError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: no model may end the process
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
    """Build the model named *name* in eval mode, and the arguments to call it with.

    Returns the module, its positional arguments and its keyword arguments. Their values are the same every time, so
    another process can rebuild the same model.

    Raises:
        ProfilerError: The name, an input, the dtype or the device is invalid, or the model cannot be built.
    """
    model, target = build_called(resolve(name), device=device, dtype=dtype)
    args, kwargs = make_inputs(target, model, specs, batch=batch, device=device, dtype=dtype)
    return model, args, kwargs


def _device(name: torch.device | str) -> torch.device:
    """Parse a device and allocate on it once: ``torch.device`` accepts devices that this machine lacks."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except Exception as error:  # each backend raises another: RuntimeError, AssertionError, ImportError …
        msg = f"device {quoted(name)} is not available ({one_line(error)}); write meta, cpu or cuda"
        raise InputError(msg) from error
    return device


def floating_dtype(name: torch.dtype | str | None) -> torch.dtype | None:
    """Return the dtype of a name; None for None.

    Raises:
        InputError: It is no floating-point dtype.
    """
    dtype = getattr(torch, name, None) if isinstance(name, str) else name
    if name is None or (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        return dtype
    msg = f"{quoted(name)} is not a floating-point dtype; write float32, bfloat16, float16 or float64"
    raise InputError(msg)


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed the CPU generator for the block; restore its state afterwards."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(0)
        yield


def _cast(module: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    """Convert floating-point tensors only: ``Module.to`` would convert complex ones and drop their imaginary parts."""
    if dtype is not None:
        module._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
    return module
