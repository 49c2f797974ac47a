"""How a dispatch mode handles an operator, decided once from its schema and the dispatcher's table of kernels."""

from __future__ import annotations

import enum
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch._C import DispatchKey
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor

from profiler.trace.exchange_buffers import ExchangeBuffers, exchange_of
from profiler.trace.meta_storages import LARGER_STORAGES
from profiler.trace.onednn_recurrent import ONEDNN_KERNELS
from profiler.trace.unwanted_gradients import MASKED_GRADIENTS
from profiler.trace.value_readers import value_readers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.trace.value_readers import ValueReaders


class DispatchKind(enum.Enum):
    """How a dispatch mode handles an operator."""

    #: Runs as it is and is recorded.
    KERNEL = enum.auto()
    #: Queries the metadata of a tensor, such as its size. Only tensor subclasses dispatch it. Not recorded.
    METADATA = enum.auto()
    #: Returns views only: it moves nothing and computes nothing. Not recorded.
    VIEW = enum.auto()
    #: Decomposes into other operators. Under inference mode it is dispatched before it is decomposed.
    COMPOSITE = enum.auto()
    #: Decomposes too, into a kernel selected by device. Meta has none, so there the call itself is recorded.
    DEVICE_DEPENDENT = enum.auto()
    #: Calls Python functions, such as ``flex_attention``.
    HIGHER_ORDER = enum.auto()


class Effect(enum.Enum):
    """What an operator does to memory that it did not find written."""

    #: Writes its results whole.
    NONE = enum.auto()
    #: Overwrites an argument.
    OVERWRITES = enum.auto()
    #: Allocates its result and writes nothing to it.
    ALLOCATES = enum.auto()
    #: Fills its result with zeros.
    ZEROS = enum.auto()


_PLAIN = frozenset({DispatchKind.KERNEL, DispatchKind.VIEW})
#: Run as they are, but are looked at as well.
_SPECIAL = frozenset({
    torch.ops.aten.scalar_tensor.default, torch.ops.aten.lift_fresh.default, torch.ops.aten.equal.default,
})  # fmt: skip
_ALLOCATIONS = frozenset(
    {"empty", "empty_like", "empty_permuted", "empty_quantized", "empty_strided", "new_empty", "new_empty_strided"}
)
_ZEROS = frozenset({"zeros", "zeros_like", "new_zeros", "zero_"})

_METADATA = frozenset({
    "dim", "is_contiguous", "is_non_overlapping_and_dense", "is_strides_like_format", "layout", "numel", "size",
    "storage_offset", "stride", "sym_is_contiguous", "sym_numel", "sym_size", "sym_storage_offset", "sym_stride",
})  # fmt: skip


#: Where a composite operator may have a kernel of its own. Meta is left out: it must count as the CPU does.
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


#: The words in the types of arguments that hold no tensor: numbers, names, and lists of them.
_TENSOR_FREE_TYPES = frozenset({"int", "float", "bool", "complex", "number", "str", "Device", "Optional", "List"})


class OperatorPlan(NamedTuple):
    """How a dispatch mode handles an operator, worked out once for each."""

    #: Whether it runs as it is, and everything that is recorded of it follows from its tensors' metadata.
    is_plain: bool
    #: Runs it: for a plain operator torch's own function, without the layers of Python around it; for some, such as the
    #: recurrent layers of oneDNN, one that returns on ``meta`` what the CPU returns.
    run: Callable[..., Any]
    kind: DispatchKind
    readers: ValueReaders | None
    #: Maps the number of positional arguments to the positions, among these, of those that may be or contain tensors.
    tensor_positions: tuple[tuple[int, ...], ...]
    effect: Effect
    #: Whether its result is left unwritten, or filled with zeros.
    is_allocation: bool
    exchange: ExchangeBuffers | None
    #: Keeps the operator alive, so that no other has its ``id``.
    operator: Any


#: What runs in the place of an operator, so that ``meta`` returns what other devices return.
_REPLACED = {**ONEDNN_KERNELS, **LARGER_STORAGES, **MASKED_GRADIENTS}
#: By the ``id`` of the operator, whose own hash is computed in Python.
PLANS: dict[int, OperatorPlan] = {}


def plan_of(func: Any) -> OperatorPlan:
    """Return the plan of an operator; it is in ``PLANS`` from then on."""
    plan = PLANS.get(id(func))
    if plan is None:
        kind, readers, positions, effect = classify(func)
        is_plain = type(func) is OpOverload and kind in _PLAIN and readers is None and not _is_special(func)
        run = _REPLACED.get(func) or (func._op if is_plain else func)
        plan = PLANS[id(func)] = OperatorPlan(
            is_plain=is_plain,
            run=run,
            kind=kind,
            readers=readers,
            tensor_positions=positions,
            effect=effect,
            is_allocation=effect in {Effect.ALLOCATES, Effect.ZEROS},
            exchange=exchange_of(func),
            operator=func,
        )
    return plan


def _is_special(func: OpOverload) -> bool:
    return func in _SPECIAL or func.namespace == "prims"


@cache
def classify(func: Any) -> tuple[DispatchKind, ValueReaders | None, tuple[tuple[int, ...], ...], Effect]:
    """Classify an operator once.

    Args:
        func: An overload (``torch._ops.OpOverload``) or a higher-order operator.

    Returns:
        How to handle it; the readers for arguments whose values affect the cost; a table that maps the number of
        positional arguments of a call to the positions, among these, of those that may be or contain tensors; and what
        it does to memory.
    """
    arguments = func._schema.arguments if hasattr(func, "_schema") else ()
    tensors = [i for i, a in enumerate(arguments) if not _TENSOR_FREE_TYPES.issuperset(re.findall(r"\w+", str(a.type)))]
    return (
        _kind(func),
        value_readers_of(func),
        tuple(tuple(i for i in tensors if i < n) for n in range(len(arguments) + 1)),
        _effect(func),
    )


def _effect(func: Any) -> Effect:
    name = getattr(func, "_opname", "")
    if name in _ALLOCATIONS:
        return Effect.ALLOCATES
    if name in _ZEROS:
        return Effect.ZEROS
    return Effect.OVERWRITES if is_mutable(func) else Effect.NONE


def _kind(func: Any) -> DispatchKind:
    if isinstance(func, torch._ops.HigherOrderOperator):
        return DispatchKind.HIGHER_ORDER
    if func.namespace == "prim" or func._opname in _METADATA:
        return DispatchKind.METADATA
    if func is torch.ops.aten.scaled_dot_product_attention.default:
        return DispatchKind.DEVICE_DEPENDENT
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return DispatchKind.COMPOSITE  # in C++, that is: eager mode does not run decompositions written in Python
    aliases = [result.alias_info for result in func._schema.returns]
    if aliases and all(alias is not None and not alias.is_write for alias in aliases):
        return DispatchKind.VIEW
    return DispatchKind.KERNEL


def has_backend_kernel(func: Any, args: tuple[Any, ...]) -> bool:
    """Return whether a composite operator has its own kernel for its tensor: RMSNorm on CUDA, nested ``linear``.

    On ``meta`` it has one if the CPU has: the backward of SiLU is one kernel there, and a composition on ``meta``.
    """
    kernels = _backend_kernels(func.name())
    if not kernels:
        return False
    tensor = next((arg for arg in args if isinstance(arg, torch.Tensor)), None)
    if tensor is None:
        return False
    if tensor.is_meta and not tensor.is_nested:
        return DispatchKey.CPU in kernels
    keys = torch._C._dispatch_keys(tensor)
    return any(map(keys.has, kernels))


@cache
def _backend_kernels(operator: str) -> tuple[DispatchKey, ...]:
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    return tuple(getattr(DispatchKey, backend) for backend in _BACKENDS if has_kernel(operator, backend))


@cache
def has_own_dispatch(tensor_class: type) -> bool:
    """Return whether a tensor class runs other operators in its ``__torch_dispatch__`` (jagged, distributed …)."""
    handler = getattr(tensor_class, "__torch_dispatch__", None)
    return handler is not torch.Tensor.__torch_dispatch__ and not issubclass(tensor_class, FakeTensor)


def is_mutable(func: Any) -> bool:
    """Return whether an operator overwrites an argument."""
    schema = getattr(func, "_schema", None)
    return schema is not None and bool(schema.is_mutable)
