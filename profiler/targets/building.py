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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Constructors that give no values to their elements, and those that do.
_UNINITIALISED = frozenset({torch.empty, torch.empty_strided, torch.empty_permuted})
_FILLED = frozenset({torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})
#: Elements from which a filled tensor is taken for a parameter: 64 MiB in float32, where constructors' tables are small.
_LARGE = 2**24


def build_on(device: torch.device, construct: Callable[[], nn.Module]) -> nn.Module:
    """Call *construct* and give its module with all parameters and buffers on *device*.

    Initial values are the same in every process, and the global random state is afterwards what it was.
    """
    if device.type != "meta":
        with _seeded():
            return construct().to(device)
    return to_meta(_construct_without_parameters(construct))


def to_meta(module: nn.Module) -> nn.Module:
    """Move parameters and buffers to ``meta``, in place; those that shared a storage go on sharing one.

    ``Module.to`` would untie tied weights, since each parameter becomes a new one.
    """
    storages: dict[int, torch.UntypedStorage] = {}
    tensors: dict[int, torch.Tensor] = {}
    for owner in module.modules():
        for table in (owner._parameters, owner._buffers):
            for name, tensor in table.items():
                if tensor is not None and not tensor.is_meta:
                    table[name] = tensors.setdefault(id(tensor), _on_meta(tensor, storages))
    return module


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
    storage = tensor.untyped_storage()
    empty = storages.setdefault(storage._cdata, torch.UntypedStorage(storage.nbytes(), device="meta"))
    moved = torch.empty(0, dtype=tensor.dtype, device="meta")
    moved.set_(empty, tensor.storage_offset(), tensor.shape, tensor.stride())
    return nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved
