"""The dispatch mode: every operator that runs passes through here once."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch._C import DispatchKey, _current_autograd_node
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from profiler.trace.argument_specs import SpecCache
from profiler.trace.dispatch_kind import DispatchKind, classify, has_backend_kernel, has_own_dispatch
from profiler.trace.flex_attention import FlexAttention
from profiler.trace.operator_calls import Call
from profiler.trace.storage_tracker import Producer
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.trace.backward_attribution import BackwardAttribution
    from profiler.trace.module_stack import ModuleStack
    from profiler.trace.storage_tracker import StorageTracker
    from profiler.trace.value_readers import ValueReaders
    from profiler.values.records import Phase


#: A call as it is noted: its maker, its arguments, the names of the last of them, and its result in a list.
Note = tuple[Producer, list[Any], tuple[str, ...], list[Any]]
_NOTES = 2**12  # calls that wait to be counted
_BATCH_NORM = torch.ops.aten.native_batch_norm.default


class Recorder(TorchDispatchMode):
    """Counts the distinct calls of operators; holds no tensor."""

    supports_higher_order_operators = True

    def __init__(self, scopes: ModuleStack, origins: BackwardAttribution, storages: StorageTracker) -> None:
        """Record for the modules that *scopes* says are running, and *origins* says made a node."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._scopes = scopes
        self._origins = origins
        self._storages = storages
        self.observer = SpecCache()
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
        if types and any(map(has_own_dispatch, types)):
            return NotImplemented  # the subclass runs operators on what it wraps, and those are seen
        manner, ways, places = classify(func)
        if manner is DispatchKind.METADATA:
            return NotImplemented  # the tensor itself knows; running it here would ask it forever
        kwargs = kwargs or {}
        if (manner is DispatchKind.COMPOSITE and not has_backend_kernel(func, args)) or (
            manner is DispatchKind.DEVICE_DEPENDENT and not args[0].is_meta
        ):
            with self:
                return func._op_dk(DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if manner is DispatchKind.HIGHER_ORDER:
            return self._run_inside(func, args, kwargs)
        result = func(*args, **kwargs)
        path, phase = self._where()
        if manner is not DispatchKind.VIEW:
            self._note((func, path, phase), ways, places[len(args)], args, kwargs, result)
        return result

    def _note(
        self,
        maker: Producer,
        ways: ValueReaders | None,
        places: tuple[int, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
    ) -> None:
        """Take down a call, with what can only be asked while its tensors are there. The rest waits for `_count`."""
        taken, made = [*args, *kwargs.values()], [result]
        operands = self.observer.glance(taken, (*places, *range(len(args), len(taken))) if kwargs else places)
        results = self.observer.glance(made, (0,))
        if ways is not None:
            self.observer.look(ways, args, kwargs, taken)
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
        seen, result = self.observer.values(taken), self.observer.value(made[0])
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
            self._add(func, self.observer.call(None, args, kwargs, result))
            return result
        if func.name() != "flex_attention":
            with self:
                return implementation(*args, **kwargs)
        with FlexAttention(self) as inside:
            result = implementation(*args, **kwargs)
        seen = self.observer.call(None, args[:3], {"scores": inside.scores}, result)
        self._add(func, seen)
        return result

    def _add(self, func: Any, seen: tuple[Any, Any, Any]) -> None:
        """Count a call that was observed whole."""
        self.calls[Call(func, *self._where(), *seen)] += 1


def _checkpointed(node: Any) -> bool:
    """Say whether ``torch.utils.checkpoint`` runs a forward again, for a function that is no module's."""
    if node.name() == "CheckpointFunctionBackward":
        return True
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    return hooks is not None and "_recomputation_hook" in getattr(hooks[0], "__qualname__", "")
