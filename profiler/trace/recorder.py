"""The dispatch mode: every operator that runs passes through here once."""

from __future__ import annotations

import enum
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch._C import DispatchKey
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from profiler.trace.observe import Observer

if TYPE_CHECKING:
    from profiler.trace.scopes import Scopes


class Call(NamedTuple):
    """The identity of a piece of work. A tuple, since it is made and hashed for every operator that runs."""

    operator: Any
    module: str
    backward: bool
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]
    results: Any


class Recorder(TorchDispatchMode):
    """Counts the distinct calls of operators; holds no tensor."""

    supports_higher_order_operators = True

    def __init__(self, scopes: Scopes) -> None:
        """Record for the modules that *scopes* says are running."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._scopes = scopes
        self._observer = Observer()
        self.calls: Counter[Call] = Counter()

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Say that this mode is a user's, not a part of the dispatcher."""
        return False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave our handler as it is: torch's guard around it imports the compiler, and costs each operator.

        Nothing compiles while we record: the session forces the eager stance.
        """
        return False

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and count the call."""
        kwargs = kwargs or {}
        if types and any(map(_unfolds, types)):
            return NotImplemented  # the subclass runs operators on what it wraps, and those are seen
        manner = _manner(func)
        if manner is Manner.METADATA:
            return NotImplemented  # the tensor itself knows; running it here would ask it forever
        if manner is Manner.VIEW:
            return func(*args, **kwargs)
        if manner is Manner.COMPOSITE:
            with self:
                return func.decompose(*args, **kwargs)
        if manner is Manner.HIGHER_ORDER:
            return self._run_inside(func, args, kwargs)
        result = func(*args, **kwargs)
        self._count(func, args, kwargs, result)
        return result

    def _count(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        backward = torch._C._current_autograd_node() is not None
        seen, named = self._observer.arguments(func, args, kwargs)
        call = Call(func, self._scopes.current, backward, seen, named, self._observer.value(result))
        self.calls[call] += 1

    def _run_inside(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a higher-order operator so that what it runs is seen; where that cannot be, count the call itself."""
        implementation = func.py_kernels.get(DispatchKey.CompositeExplicitAutograd)
        if implementation is None:
            result = func(*args, **kwargs)
            self._count(func, args, kwargs, result)
            return result
        with self:
            return implementation(*args, **kwargs)


class Manner(enum.Enum):
    """How an operator is watched."""

    PLAIN = enum.auto()
    #: A question to a tensor about itself, which comes here only from subclasses.
    METADATA = enum.auto()
    #: Moves nothing and computes nothing: not recorded.
    VIEW = enum.auto()
    #: Arrives whole under inference mode, and is made of others.
    COMPOSITE = enum.auto()
    HIGHER_ORDER = enum.auto()


_METADATA = frozenset({
    "dim", "is_contiguous", "is_non_overlapping_and_dense", "is_strides_like_format", "layout", "numel", "size",
    "storage_offset", "stride", "sym_is_contiguous", "sym_numel", "sym_size", "sym_storage_offset", "sym_stride",
})  # fmt: skip


@cache
def _manner(func: Any) -> Manner:
    if isinstance(func, torch._ops.HigherOrderOperator):
        return Manner.HIGHER_ORDER
    if func.namespace == "prim" or func._opname in _METADATA:
        return Manner.METADATA
    if func._can_decompose() and func.has_kernel_for_dispatch_key(DispatchKey.CompositeImplicitAutograd):
        return Manner.COMPOSITE
    aliases = [result.alias_info for result in func._schema.returns]
    if aliases and all(alias is not None and not alias.is_write for alias in aliases):
        return Manner.VIEW
    return Manner.PLAIN


@cache
def _unfolds(kind: type) -> bool:
    """Say whether a tensor class runs other operators in its own ``__torch_dispatch__`` (jagged, distributed …)."""
    handler = getattr(kind, "__torch_dispatch__", None)
    return handler is not torch.Tensor.__torch_dispatch__ and not issubclass(kind, FakeTensor)
