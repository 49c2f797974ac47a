"""How an operator is watched: what its schema and the dispatcher's table of kernels say of it, once for each."""

from __future__ import annotations

import enum
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch._C import DispatchKey
from torch._subclasses.fake_tensor import FakeTensor

from profiler.trace.value_readers import value_readers_of

if TYPE_CHECKING:
    from profiler.trace.value_readers import ValueReaders


class DispatchKind(enum.Enum):
    """How an operator is watched."""

    KERNEL = enum.auto()
    #: A question to a tensor about itself, which comes here only from subclasses.
    METADATA = enum.auto()
    #: Moves nothing and computes nothing: not recorded.
    VIEW = enum.auto()
    #: Arrives whole under inference mode, and is made of others.
    COMPOSITE = enum.auto()
    #: Likewise, and chooses a kernel by the device: on meta there is none, and the call is counted as it is.
    DEVICE_DEPENDENT = enum.auto()
    HIGHER_ORDER = enum.auto()


_METADATA = frozenset({
    "dim", "is_contiguous", "is_non_overlapping_and_dense", "is_strides_like_format", "layout", "numel", "size",
    "storage_offset", "stride", "sym_is_contiguous", "sym_numel", "sym_size", "sym_storage_offset", "sym_stride",
})  # fmt: skip


#: Where a composite operator may have a kernel of its own; not meta, which is to count as the CPU does.
_BACKENDS = (
    "CPU",
    "CUDA",
    "XPU",
    "MPS",
    "PrivateUse1",
    "NestedTensorCPU",
    "NestedTensorCUDA",
    "SparseCPU",
    "SparseCUDA",
)


#: What an argument is made of that needs no tensor to be there: numbers, names, and lists of them.
_INERT = frozenset({"int", "float", "bool", "complex", "number", "str", "Device", "Optional", "List"})


@cache
def classify(func: Any) -> tuple[DispatchKind, ValueReaders | None, tuple[tuple[int, ...], ...]]:
    """Say, once for each operator, how it is watched, which of its arguments tell by their values, and which are live.

    The last are positions of tensors among its positional arguments, by how many of those a call gives.
    """
    arguments = func._schema.arguments if hasattr(func, "_schema") else ()
    live = [i for i, a in enumerate(arguments) if not _INERT.issuperset(re.findall(r"\w+", str(a.type)))]
    return (
        _manner(func),
        value_readers_of(func),
        tuple(tuple(i for i in live if i < n) for n in range(len(arguments) + 1)),
    )


def _manner(func: Any) -> DispatchKind:
    if isinstance(func, torch._ops.HigherOrderOperator):
        return DispatchKind.HIGHER_ORDER
    if func.namespace == "prim" or func._opname in _METADATA:
        return DispatchKind.METADATA
    if func is torch.ops.aten.scaled_dot_product_attention.default:
        return DispatchKind.DEVICE_DEPENDENT
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return DispatchKind.COMPOSITE  # in C++, that is: a decomposition written in Python is not what runs
    aliases = [result.alias_info for result in func._schema.returns]
    if aliases and all(alias is not None and not alias.is_write for alias in aliases):
        return DispatchKind.VIEW
    return DispatchKind.KERNEL


def has_backend_kernel(func: Any, args: tuple[Any, ...]) -> bool:
    """Say whether a composite operator has a kernel of its own for its tensor: RMSNorm on CUDA, nested ``linear``."""
    kernels = _own_kernels(func.name())
    if not kernels:
        return False
    keys = next((torch._C._dispatch_keys(arg) for arg in args if isinstance(arg, torch.Tensor)), None)
    return keys is not None and any(map(keys.has, kernels))


@cache
def _own_kernels(operator: str) -> tuple[DispatchKey, ...]:
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return tuple(getattr(DispatchKey, name) for name in _BACKENDS if has(operator, name))


@cache
def has_own_dispatch(kind: type) -> bool:
    """Say whether a tensor class runs other operators in its own ``__torch_dispatch__`` (jagged, distributed …)."""
    handler = getattr(kind, "__torch_dispatch__", None)
    return handler is not torch.Tensor.__torch_dispatch__ and not issubclass(kind, FakeTensor)
