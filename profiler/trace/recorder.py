"""The dispatch mode that records every operator that runs, once."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import ref

import torch
from torch._C import _current_autograd_node, _current_graph_task_id
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from profiler.trace import dispatch_stack
from profiler.trace.backward_attribution import runs_update_hook
from profiler.trace.call_log import MAX_WAITING, CallLog
from profiler.trace.dispatch_kind import PLANS, DispatchKind, Effect, has_backend_kernel, has_own_dispatch, plan_of
from profiler.trace.exchange_buffers import ExchangeBuffers
from profiler.trace.exchanged_storages import hand_over, mark_exchanged
from profiler.trace.frozen_scripts import EQUAL, is_called_by_script
from profiler.trace.higher_order import run_higher_order
from profiler.trace.meta_recurrent import decompose
from profiler.trace.operator_calls import OperatorCall
from profiler.trace.scalar_assignment import SCALAR_TENSOR, assigned_scalar
from profiler.trace.tracing import count_modes, is_meta_kernel
from profiler.trace.unseen_work import LIFT, UnseenWork
from profiler.trace.whole_calls import WholeCalls
from profiler.util.dispatch_modes import PlainDispatchMode
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator

    from profiler.trace.dispatch_kind import OperatorPlan
    from profiler.trace.module_stack import ModuleStack
    from profiler.trace.storage_ref import Producer
    from profiler.trace.storage_tracker import StorageTracker
    from profiler.trace.task_scope import TaskScope
    from profiler.trace.tracing import TracingDetector
    from profiler.values.data_flow import DataFlow
    from profiler.values.records import Phase


_SEQUENCES = frozenset({tuple, list})
#: Named here, where every operator reads them: a member of an enumeration takes 260 ns to look up on Python 3.11.
_Module, _VIEW, _WAITS = torch.nn.Module, DispatchKind.VIEW, ExchangeBuffers.WAITS
_BATCH_NORM = torch.ops.aten.native_batch_norm.default


class Recorder(PlainDispatchMode):
    """Counts the distinct calls of operators, by module and phase. It holds no tensor."""

    supports_higher_order_operators = True

    def __init__(
        self,
        modules: ModuleStack,
        storages: StorageTracker,
        tracing: TracingDetector,
        scope: TaskScope,
        before_overwrite: Callable[[Iterable[Any]], None] | None = None,
    ) -> None:
        """Take the running module and the phase from *modules*; tell *storages* of every operator.

        What runs while torch is *tracing*, or outside *scope*, is not recorded. *before_overwrite* receives the
        arguments of an operator that will overwrite one of them.
        """
        super().__init__()
        self.scope = scope
        self._before_overwrite = before_overwrite
        self._modules = modules
        self._storages = storages
        self._tracing = tracing
        self.log = CallLog()
        self._lock, self._specs, self._waiting = self.log.lock, self.log.specs, self.log.waiting
        self._is_active = False
        this = ref(self)  # no cycle: a profile frees its model at once

        def is_entered() -> bool:
            return any(mode is this() for mode in _get_current_dispatch_mode_stack())

        self.unseen = UnseenWork(modules, storages, self.log.counted, is_entered)
        self.whole = WholeCalls(modules, self.log.counted, is_entered, self.unseen.on_written)

    @property
    def calls(self) -> Counter[OperatorCall]:
        """The distinct calls so far, in the order of their first occurrence, and how often each occurred."""
        self.log.count_waiting()
        self.unseen.add_launches()
        return self.log.counted

    @property
    def flow(self) -> DataFlow | None:
        """The calls so far in their order, with the storages that each read and wrote; None if they were too many."""
        return self.log.flow.data_flow(self.calls)

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Return False: this mode is a user's, not part of torch's own dispatch machinery."""
        return False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what runs inside the block; the work of every ``torch.optim`` step belongs to the optimizer phase."""

        def begin(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            if not self.scope.excludes():
                self._modules.enter_optimizer(optimizer)
                self._storages.marks.mark_optimizer_states(optimizer, begins=True)

        def end(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            if not self.scope.excludes():
                self._modules.leave_optimizer(optimizer)
                self._storages.marks.mark_optimizer_states(optimizer, begins=False)

        with ExitStack() as stack:
            stack.callback(register_optimizer_step_pre_hook(begin).remove)
            stack.callback(register_optimizer_step_post_hook(end).remove)
            stack.callback(setattr, self, "_is_active", False)
            self._is_active = True
            stack.callback(dispatch_stack.remove, self)
            dispatch_stack.enter(self)
            yield

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator and record the call. This is for most operators; `_dispatch` handles every other case."""
        plan, tracing = PLANS.get(id(func)) or plan_of(func), self._tracing
        if (
            types
            or not plan.is_plain
            or not self._is_active
            or self.scope.task is not None
            or self._before_overwrite is not None
            or count_modes() != tracing.modes
            or _Module.__call__ is not tracing.module_call
        ):
            return self._dispatch(plan, func, types, args, kwargs or {})
        result = plan.run(*args, **kwargs) if kwargs else plan.run(*args)
        state = self._modules.thread.state
        if (
            state.creator == state.current
            and state is self._modules.plain_home
            and _current_autograd_node() is None
            and _current_graph_task_id() == state.graph_task
        ):
            path, phase = state.current, state.phase  # the module that created the last node goes on
        else:
            path, phase = self._locate(plan, args)
        if plan.kind is not _VIEW:
            with self._lock:
                self._record((func, path, phase), plan, args, kwargs, result)
        return result

    def _dispatch(
        self, plan: OperatorPlan, func: Any, types: tuple[type, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run an operator that is not plain, or runs where more has to be looked at, and record the call."""
        kind = plan.kind
        if kind is DispatchKind.METADATA:
            return NotImplemented  # the tensor itself answers; calling func here would recurse without end
        is_seen = self._is_active and not self.scope.excludes() and not self._tracing.is_tracing()
        if not is_seen or (not plan.is_plain and self._is_torchs_own(func, args)):
            return func(*args, **kwargs)  # torch's own run, or a call on another thread that outlives the block
        if types and any(map(has_own_dispatch, types)):
            self._tracing.on_subclass()
            return NotImplemented  # the subclass runs operators on the tensors that it wraps; those are recorded
        if (kind is DispatchKind.COMPOSITE and not has_backend_kernel(func, args)) or (
            kind is DispatchKind.DEVICE_DEPENDENT and not (args[0].is_meta and torch.backends.cuda.flash_sdp_enabled())
        ):
            with self:
                return decompose(func, args, kwargs)
        if kind is DispatchKind.HIGHER_ORDER:
            return run_higher_order(self, self.log.specs, self._count_call, self.unseen.on_written, func, args, kwargs)
        scalar = assigned_scalar(func, args, kwargs, sys._getframe(2)) if func is SCALAR_TENSOR else None
        return self._run(plan, func, args, kwargs) if scalar is None else scalar

    def _is_torchs_own(self, func: Any, args: tuple[Any, ...]) -> bool:
        """Return whether torch runs an operator to learn something, and not for its result."""
        if func is EQUAL and is_called_by_script(sys._getframe(3)):
            return all(map(self._storages.is_constant, args))
        return func.namespace == "prims" and is_meta_kernel(args)

    def _run(self, plan: OperatorPlan, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a kernel and record the call."""
        if self._before_overwrite is not None and plan.effect is not Effect.NONE and func._schema.is_mutable:
            self._before_overwrite((*args, *kwargs.values()))
        result = plan.run(*args, **kwargs)
        path, phase = self._locate(plan, args)
        if plan.kind is not _VIEW:
            with self._lock:
                self._record((func, path, phase), plan, args, kwargs, result)
        elif func is LIFT:
            self.unseen.on_lift(result)
        return result

    def _locate(self, plan: OperatorPlan, args: tuple[Any, ...]) -> tuple[str, Phase]:
        """Return the module and the phase of the operator that ran."""
        path, phase = self._modules.locate()
        if phase != "backward" or plan.exchange is not None:
            return path, phase
        is_update = plan.effect is Effect.OVERWRITES and self._storages.holds_parameter(args[0])
        return (OUTSIDE, "optimizer") if is_update or runs_update_hook() else (path, phase)  # by hand, in a hook

    def _record(
        self,
        producer: Producer,
        plan: OperatorPlan,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        result: Any,
    ) -> None:
        """Record a call: read everything that needs the live tensors; the rest is left to the `CallLog`."""
        storages, specs, phase = self._storages, self._specs, producer[2]
        if phase == "backward" or phase != storages.noted_phase:
            storages.on_operator(producer)
        count = len(args)
        items, positions = list(args), plan.tensor_positions[count]
        if kwargs:
            items += kwargs.values()
            positions = (*positions, *range(count, len(items)))
        is_sequence = type(result) in _SEQUENCES
        results = list(result) if is_sequence else [result]
        # in evaluation mode the batch statistics, which are empty on other devices, are allocated on meta
        tracked = 1 if producer[0] is _BATCH_NORM and args[0].is_meta and not args[5] else len(results)
        read = storages.read(items, positions, producer[0], specs)
        if plan.exchange is _WAITS:
            hand_over(storages.storages, read, results)
        written = storages.write(results, producer, specs, tracked)
        if plan.exchange is not None:
            mark_exchanged(storages.storages, plan.exchange, read, written)
        if plan.readers is not None:
            specs.read_values(plan.readers, args, kwargs or {}, items)
        if storages.unproven or plan.is_allocation:
            self.unseen.on_operator(producer, plan, args, kwargs, result)
        names = tuple(kwargs) if kwargs else ()
        if not self._modules.thread.state.whole_calls:
            self._waiting.append((producer, items, names, results if is_sequence else results[0], (read, written)))
        if len(self._waiting) >= MAX_WAITING:
            self.log.count_waiting()
            storages.storages.trim()

    def _count_call(self, func: Any, specs: tuple[Any, Any, Any]) -> None:
        if self._modules.is_whole:
            return
        with self.log.lock:
            self.calls[OperatorCall(func, *self._modules.locate(), *specs)] += 1
