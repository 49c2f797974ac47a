"""The dispatch mode: every operator that runs passes through here once."""

from __future__ import annotations

import enum
import re
from collections import Counter
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch._C import DispatchKey, _current_autograd_node
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from profiler.trace.flexible import FlexAttention
from profiler.trace.observe import Observer
from profiler.trace.scopes import OUTSIDE
from profiler.trace.storages import Maker
from profiler.trace.telling import telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.records import Phase
    from profiler.trace.origins import Origins
    from profiler.trace.scopes import Scopes
    from profiler.trace.storages import Storages
    from profiler.trace.telling import Ways


class Call(NamedTuple):
    """The identity of a piece of work. A tuple, since it is made and hashed for every operator that runs."""

    operator: Any
    module: str
    phase: Phase
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]
    results: Any


#: A call as it is noted: its maker, its arguments, the names of the last of them, and its result in a list.
Note = tuple[Maker, list[Any], tuple[str, ...], list[Any]]
_NOTES = 2**12  # calls that wait to be counted


class Recorder(TorchDispatchMode):
    """Counts the distinct calls of operators; holds no tensor."""

    supports_higher_order_operators = True

    def __init__(self, scopes: Scopes, origins: Origins, storages: Storages) -> None:
        """Record for the modules that *scopes* says are running, and *origins* says made a node."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._scopes = scopes
        self._origins = origins
        self._storages = storages
        self._observer = Observer()
        self._optimizing = False
        self._notes: list[Note] = []
        self._calls: Counter[Call] = Counter()

    @property
    def calls(self) -> Counter[Call]:
        """The distinct calls so far, in the order in which they first came, and how often each came."""
        self._count()
        return self._calls

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

    @contextmanager
    def optimizer_steps(self) -> Iterator[None]:
        """Know the work of every ``torch.optim`` step inside as such."""

        def begin(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            self._optimizing = True
            self._storages.find_states(optimizer)

        def end(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            self._optimizing = False
            self._storages.find_states(optimizer)

        before = register_optimizer_step_pre_hook(begin)
        after = register_optimizer_step_post_hook(end)
        try:
            yield
        finally:
            before.remove()
            after.remove()
            self._optimizing = False

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and count the call."""
        if types and any(map(_unfolds, types)):
            return NotImplemented  # the subclass runs operators on what it wraps, and those are seen
        manner, ways, places = _watch(func)
        if manner is Manner.METADATA:
            return NotImplemented  # the tensor itself knows; running it here would ask it forever
        kwargs = kwargs or {}
        if (manner is Manner.COMPOSITE and not _runs_whole(func, args)) or (
            manner is Manner.CHOICE and not args[0].is_meta
        ):
            with self:
                return func._op_dk(DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if manner is Manner.HIGHER_ORDER:
            return self._run_inside(func, args, kwargs)
        result = func(*args, **kwargs)
        path, phase = self._where()
        if manner is not Manner.VIEW:
            self._note((func, path, phase), ways, places[len(args)], args, kwargs, result)
        return result

    def _note(
        self,
        maker: Maker,
        ways: Ways | None,
        places: tuple[int, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
    ) -> None:
        """Take down a call, with what can only be asked while its tensors are there. The rest waits for `_count`."""
        taken, made = [*args, *kwargs.values()], [result]
        operands = self._observer.glance(taken, (*places, *range(len(args), len(taken))) if kwargs else places)
        results = self._observer.glance(made, (0,))
        if ways is not None:
            self._observer.look(ways, args, kwargs, taken)
        if maker[0] is _BATCH_NORM and args[0].is_meta and not args[5]:
            del results[1:]  # the statistics of a batch in evaluation, which are empty elsewhere
        self._notes.append((maker, taken, tuple(kwargs), made))
        self._storages.ran(maker, operands, results)
        if len(self._notes) >= _NOTES:
            self._count()
            self._storages.forget()

    def _count(self) -> None:
        """Count what was noted."""
        self._calls.update(map(self._call, self._notes))
        self._notes.clear()

    def _call(self, note: Note) -> Call:
        """Say which piece of work a noted call was."""
        maker, taken, names, made = note
        seen, result = self._observer.values(taken), self._observer.value(made[0])
        positional = len(seen) - len(names)
        return Call(*maker, seen[:positional], tuple(zip(names, seen[positional:], strict=True)), result)

    def _where(self) -> tuple[str, Phase]:
        """Say whose work is running, and in which phase; note the autograd node that it made, if any."""
        scopes, node = self._scopes, _current_autograd_node()
        path: str = scopes.current
        if node is None:
            phase: Phase = (
                "optimizer" if self._optimizing and path == OUTSIDE else "forward"
            )  # a closure runs the model
        elif torch.is_grad_enabled() and (scopes.in_backward or _checkpointed(node)):
            phase, path = "recompute", path if scopes.in_backward else self._origins.find(node)
        else:
            phase, path = "backward", self._origins.find(node)
        if torch.is_grad_enabled():
            self._origins.note(path)
        return path, phase

    def _run_inside(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a higher-order operator so that what it runs is seen; where that cannot be, count the call itself."""
        implementation = func.py_kernels.get(DispatchKey.CompositeExplicitAutograd)
        if implementation is None:
            result = func(*args, **kwargs)
            self._add(func, self._observer.call(None, args, kwargs, result))
            return result
        if func.name() != "flex_attention":
            with self:
                return implementation(*args, **kwargs)
        with FlexAttention(self) as inside:
            result = implementation(*args, **kwargs)
        seen = self._observer.call(None, args[:3], {"scores": inside.scores}, result)
        self._add(func, seen)
        return result

    def _add(self, func: Any, seen: tuple[Any, Any, Any]) -> None:
        """Count a call that was observed whole."""
        self.calls[Call(func, *self._where(), *seen)] += 1


class Manner(enum.Enum):
    """How an operator is watched."""

    PLAIN = enum.auto()
    #: A question to a tensor about itself, which comes here only from subclasses.
    METADATA = enum.auto()
    #: Moves nothing and computes nothing: not recorded.
    VIEW = enum.auto()
    #: Arrives whole under inference mode, and is made of others.
    COMPOSITE = enum.auto()
    #: Likewise, and chooses a kernel by the device: on meta there is none, and the call is counted as it is.
    CHOICE = enum.auto()
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
def _watch(func: Any) -> tuple[Manner, Ways | None, tuple[tuple[int, ...], ...]]:
    """Say, once for each operator, how it is watched, which of its arguments tell by their values, and which are live.

    The last are positions of tensors among its positional arguments, by how many of those a call gives.
    """
    arguments = func._schema.arguments if hasattr(func, "_schema") else ()
    live = [i for i, a in enumerate(arguments) if not _INERT.issuperset(re.findall(r"\w+", str(a.type)))]
    return _manner(func), telling(func), tuple(tuple(i for i in live if i < n) for n in range(len(arguments) + 1))


def _plan(func: Any) -> tuple[Manner, Ways | None]:
    """Say how an operator is watched, and which of its arguments tell by their values."""
    return _watch(func)[:2]


def _manner(func: Any) -> Manner:
    if isinstance(func, torch._ops.HigherOrderOperator):
        return Manner.HIGHER_ORDER
    if func.namespace == "prim" or func._opname in _METADATA:
        return Manner.METADATA
    if func is torch.ops.aten.scaled_dot_product_attention.default:
        return Manner.CHOICE
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return Manner.COMPOSITE  # in C++, that is: a decomposition written in Python is not what runs
    aliases = [result.alias_info for result in func._schema.returns]
    if aliases and all(alias is not None and not alias.is_write for alias in aliases):
        return Manner.VIEW
    return Manner.PLAIN


def _runs_whole(func: Any, args: tuple[Any, ...]) -> bool:
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
def _unfolds(kind: type) -> bool:
    """Say whether a tensor class runs other operators in its own ``__torch_dispatch__`` (jagged, distributed …)."""
    handler = getattr(kind, "__torch_dispatch__", None)
    return handler is not torch.Tensor.__torch_dispatch__ and not issubclass(kind, FakeTensor)


_BATCH_NORM = torch.ops.aten.native_batch_norm.default


def _checkpointed(node: Any) -> bool:
    """Say whether ``torch.utils.checkpoint`` runs a forward again, for a function that is no module's."""
    if node.name() == "CheckpointFunctionBackward":
        return True
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    return hooks is not None and "_recomputation_hook" in getattr(hooks[0], "__qualname__", "")
