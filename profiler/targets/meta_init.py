"""Construct a module on ``meta`` even if its constructor computes with tensors.

Under a bare ``torch.device("meta")`` *every* new tensor would be on ``meta``, which breaks constructors that compute
with tensors (RegNet's widths, Swin's drop path rates). Here only two kinds of tensors are redirected: uninitialised
ones, which is how layers allocate their parameters, and very large ones. The others stay on the CPU until the module is
complete, and are then moved.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from profiler.errors import InputError
from profiler.targets.target import ModuleWithInputs

if TYPE_CHECKING:
    from collections.abc import Callable

#: Functions that return an uninitialised tensor, and functions that fill the tensor they return.
_UNINITIALISED = frozenset({torch.empty, torch.empty_strided, torch.empty_permuted})
_FILLED = frozenset({torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})
#: Functions that fill an existing tensor in place and return it.
_FILL_IN_PLACE = frozenset({
    torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.zero_, torch.Tensor.fill_,
    nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_, nn.init.constant_, nn.init.kaiming_uniform_,
})  # fmt: skip
#: A filled tensor with this many elements (64 MiB in float32) is taken for a parameter; the tables that constructors
#: compute with are smaller.
_LARGE = 2**24


def construct_on_meta(construct: Callable[[], nn.Module | ModuleWithInputs]) -> nn.Module | ModuleWithInputs:
    """Return what *construct* builds, with all parameters and buffers on ``meta``.

    A constructor that reads values of its parameters fails on ``meta``; it is then called again on the CPU, and its
    module is moved.
    """
    try:
        with _ParametersOnMeta():
            made = construct()
    except (RuntimeError, TypeError, ValueError) as error:
        if "meta" not in str(error):
            raise
        made = construct()
    to_meta(made.module if isinstance(made, ModuleWithInputs) else made)
    return made


def to_meta(module: nn.Module) -> nn.Module:
    """Move parameters and buffers to ``meta`` in place; tensors that shared a storage still share one.

    ``Module.to`` would untie tied weights, since it replaces each parameter by a new one.

    Raises:
        InputError: The module is a scripted one.
    """
    if isinstance(module, torch.jit.ScriptModule):  # its parameters belong to a C++ object and cannot be replaced
        msg = "a scripted module cannot be moved to meta; profile it on the CPU"
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
    """Redirects uninitialised and very large tensors to ``meta``, unless the call names a device.

    Filling a tensor on ``meta`` is skipped: it has no values, and the call would still cost a dispatch.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func in _FILL_IN_PLACE:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        if kwargs.get("device") is None and (func in _UNINITIALISED or (func in _FILLED and _is_large(args, kwargs))):
            kwargs = kwargs | {"device": "meta"}
        return func(*args, **kwargs)


def _is_large(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    sizes = kwargs.get("size", args)
    sizes = sizes[0] if len(sizes) > 0 and isinstance(sizes[0], (tuple, list)) else sizes
    return math.prod(int(n) for n in sizes) >= _LARGE


def _on_meta(tensor: torch.Tensor, storages: dict[int, torch.UntypedStorage]) -> torch.Tensor:
    """Return a tensor on ``meta`` with the same dtype, shape, strides and sharing of storage."""
    if type(tensor) not in {torch.Tensor, nn.Parameter} or tensor.layout is not torch.strided:
        return tensor.to("meta")
    storage = tensor.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = torch.UntypedStorage(storage.nbytes(), device="meta")
    result = torch.empty(0, dtype=tensor.dtype, device="meta")
    result.set_(storages[storage._cdata], tensor.storage_offset(), tensor.shape, tensor.stride())
    return nn.Parameter(result, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else result
