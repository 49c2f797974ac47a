"""Construct a module without memory for its parameters, whatever its constructor computes meanwhile.

A bare ``torch.device("meta")`` would put *every* new tensor on ``meta``, and so break constructors that compute with
tensors (RegNet's widths, Swin's drop rates). Here only tensors without values, which is how layers allocate their
parameters, and very large ones are redirected. What a constructor computes stays on the CPU until the module is whole.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from profiler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Constructors that give no values to their elements, and those that do.
_UNINITIALISED = frozenset({torch.empty, torch.empty_strided, torch.empty_permuted})
_FILLED = frozenset({torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})
#: What fills a tensor that is there, and gives it back.
_FILLS = frozenset({
    torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.zero_, torch.Tensor.fill_,
    nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_, nn.init.constant_, nn.init.kaiming_uniform_,
})  # fmt: skip
#: Elements from which a filled tensor is taken for a parameter (64 MiB in float32); the tables that constructors
#: compute with are smaller.
_LARGE = 2**24


def construct_on_meta(construct: Callable[[], nn.Module]) -> nn.Module:
    """Call *construct*, with what it allocates on ``meta``; where it looks into that, call it again without."""
    try:
        with _ParametersOnMeta():
            module = construct()
    except (RuntimeError, TypeError, ValueError) as error:
        if "meta" not in str(error):
            raise
        module = construct()
    return to_meta(module)


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
    moved: dict[int, torch.Tensor] = {}
    for owner in module.modules():
        tables: tuple[dict[str, Any], ...] = (owner._parameters, owner._buffers)
        for table in tables:
            for name, tensor in table.items():
                if tensor is None or tensor.is_meta:
                    continue
                if id(tensor) not in moved:
                    moved[id(tensor)] = _on_meta(tensor, storages)
                table[name] = moved[id(tensor)]
    return module


class _ParametersOnMeta(TorchFunctionMode):
    """Redirects to ``meta`` what is allocated without values, or is very large, and names no device.

    What is there already is not filled: it has no values, and torch would take as long as an operator to say so.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func in _FILLS:
            filled = args[0] if args else kwargs["tensor"]
            if filled.is_meta:
                return filled
        if kwargs.get("device") is None and (func in _UNINITIALISED or (func in _FILLED and _is_large(args, kwargs))):
            kwargs = kwargs | {"device": "meta"}
        return func(*args, **kwargs)


def _is_large(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    sizes = kwargs.get("size", args)
    sizes = sizes[0] if len(sizes) > 0 and isinstance(sizes[0], (tuple, list)) else sizes
    return math.prod(int(n) for n in sizes) >= _LARGE


def _on_meta(tensor: torch.Tensor, storages: dict[int, torch.UntypedStorage]) -> torch.Tensor:
    """Make a tensor of the same kind over a storage without memory."""
    if type(tensor) not in {torch.Tensor, nn.Parameter} or tensor.layout is not torch.strided:
        return tensor.to("meta")
    storage = tensor.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = torch.UntypedStorage(storage.nbytes(), device="meta")
    moved = torch.empty(0, dtype=tensor.dtype, device="meta")
    moved.set_(storages[storage._cdata], tensor.storage_offset(), tensor.shape, tensor.stride())
    return nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved
