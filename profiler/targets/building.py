"""Build a module with its parameters on a device, whatever its constructor computes meanwhile.

On ``meta`` no parameter is ever allocated. A bare ``torch.device("meta")`` would put *every* new tensor there, and so
break constructors that compute with tensors (RegNet's widths, Swin's drop rates): only tensors without values, which is
how layers allocate their parameters, and very large ones are redirected. What a constructor computes stays on the CPU
until the module is whole.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from profiler.errors import InputError, ModelError, ProfilerError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profiler.targets.target import Target

#: Constructors that give no values to their elements, and those that do.
_UNINITIALISED = frozenset({torch.empty, torch.empty_strided, torch.empty_permuted})
_FILLED = frozenset({torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})
#: Elements from which a filled tensor is taken for a parameter: 64 MiB in float32, where constructors' tables are small.
_LARGE = 2**24


def build(target: Target, *, device: torch.device | str = "meta", dtype: torch.dtype | str | None = None) -> nn.Module:
    """Build a target's module, in eval mode.

    *dtype* is that of the floating parameters and buffers; None leaves each as its constructor made it. Initial values
    are the same in every process.

    Raises:
        ModelError: The constructor raised.
        TargetError: What it returned is no module.
        InputError: There is no such device or dtype.
    """
    place, kind = _device(device), _dtype(dtype)
    try:
        module = build_on(place, target.construct)
    except ProfilerError:
        raise
    except Exception as error:
        msg = f"{target.name} cannot be built: {one_line(error)}"
        raise ModelError(msg) from error
    return _cast(module, kind).eval()


def build_on(device: torch.device, construct: Callable[[], nn.Module]) -> nn.Module:
    """Call *construct* and give its module with all parameters and buffers on *device*.

    The global random state is afterwards what it was.
    """
    if device.type != "meta":
        with _seeded():
            return construct().to(device)
    return to_meta(_construct_without_parameters(construct))


def to_meta(module: nn.Module) -> nn.Module:
    """Move parameters and buffers to ``meta``, in place; those that shared a storage go on sharing one.

    ``Module.to`` would untie tied weights, since each parameter becomes a new one.

    Raises:
        InputError: The module is a scripted one.
    """
    if isinstance(module, torch.jit.ScriptModule):  # C++ holds its parameters, and keeps them where they are
        msg = "a scripted module cannot be put on meta; profile it on the CPU"
        raise InputError(msg)
    storages: dict[int, torch.UntypedStorage] = {}
    tensors: dict[int, torch.Tensor] = {}
    for owner in module.modules():
        for table in (owner._parameters, owner._buffers):
            for name, tensor in table.items():
                if tensor is None or tensor.is_meta:
                    continue
                if id(tensor) not in tensors:
                    tensors[id(tensor)] = _on_meta(tensor, storages)
                table[name] = tensors[id(tensor)]
    return module


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


def _cast(module: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    """Convert what is floating; ``Module.to`` would convert complex tensors too, and lose their imaginary parts."""
    if dtype is None:
        return module
    return module._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)


class _ParametersOnMeta(TorchFunctionMode):
    """Redirects to ``meta`` what is allocated without values, or is very large, and names no device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("device") is None and (func in _UNINITIALISED or (func in _FILLED and _is_large(args, kwargs))):
            kwargs = kwargs | {"device": "meta"}
        return func(*args, **kwargs)


def _construct_without_parameters(construct: Callable[[], nn.Module]) -> nn.Module:
    """Construct under the redirection; where the constructor looks into its parameters, construct for real."""
    try:
        with _seeded(), _ParametersOnMeta():
            return construct()
    except (RuntimeError, NotImplementedError) as error:
        if "meta" not in str(error):
            raise
    with _seeded():
        return construct()


@contextmanager
def _seeded() -> Iterator[None]:
    """Fix the CPU's random numbers inside; put the state back afterwards."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(0)
        yield


def _is_large(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    sizes = kwargs.get("size", args)
    sizes = sizes[0] if len(sizes) > 0 and isinstance(sizes[0], (tuple, list)) else sizes
    return math.prod(int(n) for n in sizes) >= _LARGE


def _on_meta(tensor: torch.Tensor, storages: dict[int, torch.UntypedStorage]) -> torch.Tensor:
    """Make a tensor of the same kind over a storage without memory."""
    if type(tensor) not in {torch.Tensor, nn.Parameter} or tensor.layout is not torch.strided:
        return tensor.to("meta")
    storage = tensor.untyped_storage()
    empty = storages.setdefault(storage._cdata, torch.UntypedStorage(storage.nbytes(), device="meta"))
    moved = torch.empty(0, dtype=tensor.dtype, device="meta")
    moved.set_(empty, tensor.storage_offset(), tensor.shape, tensor.stride())
    return nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved
