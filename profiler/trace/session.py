"""One profiled block: attach the hooks and the dispatch mode at its start, return a `Trace` at its end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from profiler.errors import OverlapError
from profiler.trace.checkpoint_calls import observe_checkpoints
from profiler.trace.compiled_runs import observe_compiled_runs
from profiler.trace.exports import observe_exports
from profiler.trace.first_call import named_arguments
from profiler.trace.held_tensors import Holdings
from profiler.trace.inventory import take_inventory
from profiler.trace.memory_timeline import MAX_MOMENTS
from profiler.trace.module_stack import ModuleStack
from profiler.trace.module_tally import plain_shapes
from profiler.trace.operator_calls import to_record
from profiler.trace.overlaps import find_overlap
from profiler.trace.process_groups import resolve_groups
from profiler.trace.process_state import PROCESS_STATE
from profiler.trace.recorder import Recorder
from profiler.trace.script_kernels import reject_unseen_kernels
from profiler.trace.storage_resizes import observe_resizes
from profiler.trace.storage_tracker import StorageTracker
from profiler.trace.task_scope import TaskScope
from profiler.trace.thread_starts import hand_on
from profiler.trace.trace import CallCounts, Trace
from profiler.trace.tracing import TracingDetector, count_modes
from profiler.trace.triton_launches import observe_launches
from profiler.trace.whole_calls import observe_functions
from profiler.util.interrupts import guarded, intercepted, uninterrupted
from profiler.util.shared_context import PROCESS_LOCK
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from profiler.trace.inventory import ModelInventory
    from profiler.trace.operator_calls import OperatorCall
    from profiler.values.communication import ProcessGroup
    from profiler.values.records import OpRecord, Value


class Session:
    """Records a model between ``start()`` and ``stop()``. A restarted session adds to what it has recorded.

    Example:
        >>> model = nn.Linear(4, 8, device="meta")
        >>> with Session(model) as session:
        ...     _ = model(torch.empty(2, 4, device="meta"))
        >>> [record.operator for record in session.trace().records if record.module == ""]
        ['aten.addmm.default']
    """

    def __init__(
        self,
        model: nn.Module | None,
        before_overwrite: Callable[[Iterable[Any]], None] | None = None,
        *,
        moments: int = MAX_MOMENTS,
    ) -> None:
        """Prepare to record *model*; with None, only operators are recorded.

        *before_overwrite* receives the arguments of every operator that will overwrite one of them. The timeline of
        memory has at most so many *moments*.
        """
        self.model = model
        self._modules = ModuleStack(model)
        self._storages = StorageTracker(model, moments)
        self._tracing, self._scope = TracingDetector(), TaskScope()
        self._recorder = Recorder(self._modules, self._storages, self._tracing, self._scope, before_overwrite)
        self._inputs: tuple[tuple[str, Value], ...] = ()
        #: The arguments of the model's first call.
        self.first_call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._attached = ExitStack()
        #: The inventory when the session last stopped; None while it runs.
        self._inventory: ModelInventory | None = None
        #: The process groups that were used until then.
        self._groups: tuple[ProcessGroup, ...] = ()
        #: Why the counts are those of other sessions too; empty if they are not.
        self._overlap = ""

    def start(self) -> None:
        """Attach the hooks and enter the dispatch mode. If that fails or is interrupted, nothing stays attached."""
        try:
            with uninterrupted(), PROCESS_LOCK, ExitStack() as stack:
                self._attach(stack)
                self._inventory = None
                self._attached = stack.pop_all()
        except BaseException:
            self.abandon()
            raise

    def _attach(self, stack: ExitStack) -> None:
        """Enter everything that a session needs; *stack* leaves it."""
        tracing, scope = self._tracing, self._scope
        stack.enter_context(intercepted())
        stack.enter_context(PROCESS_STATE)
        stack.callback(self._recorder.log.specs.release)
        stack.callback(self._modules.detach)
        stack.callback(self._storages.stop)
        holdings = Holdings(self.model)
        self._storages.start(holdings)
        stack.enter_context(observe_resizes(self._storages.on_resize))
        stack.callback(tracing.stop)
        tracing.start(holdings.tensors)
        stack.callback(scope.leave)
        scope.enter()
        unseen = self._recorder.unseen
        stack.enter_context(observe_exports(unseen.on_export))
        stack.enter_context(observe_launches(unseen.on_launch))
        stack.enter_context(observe_compiled_runs(unseen.on_launch))
        stack.enter_context(observe_checkpoints(self._modules.on_checkpoint))
        stack.enter_context(hand_on(self._recorder, self._modules.place_of_caller))
        stack.enter_context(observe_functions(self._recorder.whole))
        self._modules.attach(
            self._on_model_call,
            self._recorder,
            self._is_excluded,
            holdings.places,
            self._on_return,
        )
        stack.enter_context(self._recorder.recording())

    def __enter__(self) -> Self:
        """Start recording."""
        try:
            self.start()
            return self  # noqa: TRY300 - an interrupt may arrive here too
        except BaseException:
            self.abandon()
            raise

    @guarded
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop recording."""
        self.stop(failed=kind is not None)

    @guarded
    def stop(self, *, failed: bool = False) -> None:
        """Detach everything that ``start()`` attached.

        Args:
            failed: Whether the block raised: then its error is not replaced by another.

        Raises:
            OverlapError: A session that began later has not ended, or this is another thread than that of the start.
            UnsupportedModelError: A scripted model ran fused kernels, whose operators are not dispatched.
        """
        with uninterrupted(), PROCESS_LOCK:
            self._overlap = self._overlap or find_overlap(self._recorder, self._scope)
            self._attached.close()
            if self._inventory is None:
                self._inventory = self._storages.inventory or take_inventory(self.model)
                self._groups = self._process_groups()
        if not failed:
            self._reject_overlap()
            reject_unseen_kernels(self._modules.modules)

    @guarded
    def abandon(self) -> None:
        """Detach everything, without a look at what was recorded."""
        with uninterrupted(), PROCESS_LOCK:
            self._attached.close()

    def trace(self) -> Trace:
        """Return what was recorded so far.

        Raises:
            OverlapError: It overlapped another session, and counts the other's work too.
        """
        self._reject_overlap()
        return Trace(
            model=type(self.model).__name__ if self.model is not None else "operators",
            inputs=self._inputs,
            inventory=self._inventory or take_inventory(self.model),
            records=self._records(),
            calls=dict(self._modules.calls.counts),
            arguments=plain_shapes(self._modules.calls.inputs),
            outputs=plain_shapes(self._modules.calls.outputs),
            memory=self._storages.memory(),
            flow=self._recorder.flow,
            groups=self._process_groups() if self._inventory is None else self._groups,
        )

    def call_counts(self) -> CallCounts | None:
        """Return what the totals need of what was recorded so far, in less time than a trace takes.

        None if a module made calls that the model does not have any more.

        Raises:
            OverlapError: It overlapped another session, and counts the other's work too.
        """
        self._reject_overlap()
        inventory = self._inventory or take_inventory(self.model)
        paths = {module.path for module in inventory.modules} | {"", OUTSIDE}
        calls: dict[tuple[Any, ...], tuple[OperatorCall, int]] = {}
        for call, times in self._recorder.calls.items():
            if call.module not in paths:
                return None
            key = id(call.operator), *call[3:]  # the cost does not depend on the module and the phase
            known, before = calls.get(key, (call, 0))
            calls[key] = known, before + times
        records = tuple([to_record(call, times) for call, times in calls.values()])
        return CallCounts(records, inventory, self._storages.storages.peak())

    def _records(self) -> tuple[OpRecord, ...]:
        return tuple(to_record(call, times) for call, times in self._recorder.calls.items())

    def _process_groups(self) -> tuple[ProcessGroup, ...]:
        """Return the groups of the collectives so far, as long as torch knows them."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._groups
        return resolve_groups(self._records(), Holdings(self.model).tensors)

    def _is_excluded(self) -> bool:
        """Return whether the call of a module that begins or ends is not recorded."""
        scope, tracing = self._scope, self._tracing
        is_own_mode_alone = count_modes() == tracing.modes + 1
        if is_own_mode_alone and scope.task is None and nn.Module.__call__ is tracing.module_call:
            return False
        return scope.excludes() or tracing.is_tracing()

    def _on_return(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Record a call that is counted whole; look for results of unseen kernels in what the model returns."""
        if args is None:
            self._recorder.unseen.on_output(output)
        else:
            self._recorder.whole.on_module(module, args, kwargs, output)

    def _reject_overlap(self) -> None:
        if self._overlap:
            raise OverlapError(self._overlap)

    def _on_model_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Mark the arguments of a call of the model as inputs; record those of the first call by name."""
        self._storages.on_model_call((args, kwargs))
        if not self._inputs:
            self.first_call = args, kwargs
            self._inputs = named_arguments(self.model, args, kwargs)
