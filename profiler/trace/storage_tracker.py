"""Tracks which storages are live: which operator and module allocated each one, and what it is used for.

A storage has one category for its whole life, which is final only when it is freed. It is a gradient if it ever was
the ``.grad`` of a parameter, an optimizer state if an optimizer ever kept it in its ``state``, an activation if a
forward pass allocated it and it was still live when a backward pass began, and an input if it was an argument of the
model or was allocated outside the profiled block. Everything else is temporary.

What exists when the block begins counts from there on: parameters, buffers and gradients, and what is found only later,
when the optimizer steps or a backward pass reads it.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.argument_specs import PLAIN, TENSORS
from profiler.trace.exchange_buffers import exchange_of
from profiler.trace.exchanged_storages import is_received
from profiler.trace.fsdp_groups import fsdp_exchange
from profiler.trace.held_tensors import Holdings
from profiler.trace.inner_tensors import inner_tensors, sparse_parts
from profiler.trace.inventory import ModelInventory, inventory_of
from profiler.trace.live_storages import NO_STORAGE, UNKNOWN_MODULE, LiveStorages
from profiler.trace.memory_timeline import MAX_MOMENTS
from profiler.trace.nested_tensors import tensors_in
from profiler.trace.storage_marks import StorageMarks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from profiler.trace.argument_specs import SpecCache
    from profiler.trace.storage_ref import Producer, StorageRef
    from profiler.values.memory import Category, Memory
    from profiler.values.records import Phase


#: Events that may wait at a call of the model. More are summed there, where the categories of earlier calls are final.
_MAX_EVENTS_AT_CALL = 2**16
#: The producer of what a storage's own ``resize_`` allocates.
_RESIZE = "UntypedStorage.resize_"
#: Changes of phase at which what a forward pass has left is saved for backward.
_FORWARD_TO_BACKWARD = {("forward", "backward"), ("forward", "recompute"), ("recompute", "backward")}
_COPY = torch.ops.aten.copy_.default


class StorageTracker:
    """Tells the live storages of one session of every operator and phase, and of what the model is called with."""

    def __init__(self, model: nn.Module | None, moments: int = MAX_MOMENTS) -> None:
        """Prepare to track the parameters, buffers and gradients of *model*, and everything allocated from now on."""
        self._model = model
        self.storages = storages = LiveStorages(moments)
        self.marks = StorageMarks(model, storages)
        self._live = storages.live
        #: Operands that no operator is known to have written, and their storages. `UnseenWork` takes them.
        self.unproven: list[tuple[torch.Tensor, StorageRef]] = []
        #: The phase whose level at its start was noted; None before the first operator.
        self.noted_phase: Phase | None = None
        #: The inventory of the model at the last stop.
        self.inventory: ModelInventory | None = None
        self._activations: Counter[str] = Counter()
        #: The backward pass (autograd's graph task) at whose end the gradients will be marked.
        self._graph_task = -1

    def start(self, holdings: Holdings) -> None:
        """Track the model's parameters, buffers and gradients; *holdings* are those of now."""
        self.storages.start()
        self.marks.forget()
        self.noted_phase = None
        self.marks.mark_model(holdings)
        self.marks.mark_packed_weights(holdings)
        self.storages.track_survivors()
        self.marks.mark_gradients(holdings)

    def stop(self) -> None:
        """Mark the model a last time, take its inventory and stop tracking. Nothing is seen until the next start."""
        holdings = Holdings(self._model)
        self.marks.mark_model(holdings)
        self.marks.mark_gradients(holdings)
        self.inventory = inventory_of(holdings)
        self.storages.stop()

    def on_operator(self, producer: Producer) -> None:
        """Enter the operator's phase; while a backward pass runs, see to it that its gradients will be marked."""
        if producer[2] != self.noted_phase:
            self._enter_phase(producer[2])
            self.storages.events.append(producer)
        if self.storages.phase == "backward":
            self._mark_gradients_after_backward()

    def read(
        self, items: list[Any], positions: Iterable[int], operator: Any, specs: SpecCache
    ) -> list[StorageRef | None]:
        """Track an operator's operands. Those not seen before are inputs.

        This runs for every operator while the model runs, so it does as little as possible.

        Args:
            items: The arguments of the operator. The tensors at *positions* are replaced by their specs.
            positions: The positions of the arguments that may be or contain tensors.
            operator: The operator.
            specs: Makes the specs.

        Returns:
            The storage of each operand; None for a tensor that has none.
        """
        live, cached = self._live, specs.cached
        storages: list[StorageRef | None] = []
        for i in positions:
            item = items[i]
            kind = type(item)
            if kind in TENSORS:
                try:
                    storage = live.get(item.untyped_storage()._cdata)
                    spec = cached[item.dtype].get(item.shape)
                    stored_once = item.is_contiguous() or 0 not in item.stride()
                except NO_STORAGE:  # a sparse or a nested tensor
                    storages += [self._read(t, operator, storages) for t in specs.replace_tensors(items, (i,))]
                    continue
                if storage is None or storage() is None or storage.contents:
                    storage = self._read(item, operator, storages)
                storages.append(storage)
                items[i] = (stored_once and spec) or specs.new_spec(item)
            elif kind not in PLAIN:
                storages += [self._read(t, operator, storages) for t in specs.replace_tensors(items, (i,))]
        return storages

    def write(self, results: list[Any], producer: Producer, specs: SpecCache, tracked: int) -> list[StorageRef | None]:
        """Track the first *tracked* results of an operator, and replace the tensors in *results* by their specs.

        Returns:
            The storage of each tracked tensor; None for a tensor that has none.
        """
        live, cached = self._live, specs.cached
        storages: list[StorageRef | None] = []
        for i, item in enumerate(results):
            untyped = None
            if type(item) in TENSORS and i < tracked:
                try:
                    untyped = item.untyped_storage()
                    spec = cached[item.dtype].get(item.shape)
                    stored_once = item.is_contiguous() or 0 not in item.stride()
                except NO_STORAGE:
                    untyped = None
            if untyped is None:
                tensors = specs.replace_tensors(results, (i,))
                storages += [self.storages.track(tensor, producer, "temporary") for tensor in tensors if i < tracked]
                continue
            storage = live.get(untyped._cdata)
            if storage is None or storage() is None:
                storage = self.storages.start_tracking(untyped, producer, "temporary")
            elif storage.bytes != untyped.nbytes():
                storage = self.storages.retrack(untyped, storage, producer)
            storages.append(storage)
            results[i] = (stored_once and spec) or specs.new_spec(item)
        return storages

    def _read(self, tensor: torch.Tensor, operator: Any, before: list[StorageRef | None]) -> StorageRef | None:
        """Return the storage of an operand that comes after those *before*; start tracking it if it is new."""
        try:
            storage = self._live.get(tensor.untyped_storage()._cdata)
        except NO_STORAGE:
            for part in sparse_parts(tensor):
                self._read(part, operator, before)
            return None
        if storage is not None and storage() is not None:
            if storage.contents:
                self.unproven.append((tensor, storage))
            return storage
        if operator is _COPY and is_received(before):
            return storage
        unseen: Category = "input" if exchange_of(operator) is None else "communication"
        storage = self.storages.track(
            tensor, self.storages.unknown_producer, unseen, existing=self.storages.phase == "backward"
        )
        if storage is not None:
            self.unproven.append((tensor, storage))
        return storage

    def adopt(self, tensor: torch.Tensor, producer: Producer | None, category: Category) -> None:
        """Track a tensor that is no result of an operator; without a *producer*, it comes from outside."""
        self.storages.track(tensor, producer or self.storages.unknown_producer, category)

    def on_resize(self, untyped: torch.UntypedStorage) -> None:
        """Count a storage with its new size."""
        tracked = self._live.get(untyped._cdata)
        if tracked is None or tracked() is None:
            if untyped.nbytes():
                category: Category = "gathered" if fsdp_exchange() is not None else "temporary"
                self.storages.start_tracking(untyped, (_RESIZE, UNKNOWN_MODULE, self.storages.phase), category)
        elif tracked.bytes != untyped.nbytes():
            self.storages.retrack(untyped, tracked, (_RESIZE, tracked.producer[1], self.storages.phase))

    def on_model_call(self, arguments: Any) -> None:
        """Mark the tensors among the arguments of a call of the model as inputs; sum events if many wait."""
        for tensor in chain.from_iterable(map(inner_tensors, tensors_in(arguments))):
            storage = self.storages.track(tensor, self.storages.unknown_producer, "input")
            if storage is not None and storage.category == "temporary" and storage.producer[2] == "forward":
                self.storages.recategorize(storage, "input")
        self.storages.trim(_MAX_EVENTS_AT_CALL)

    def holds_parameter(self, operand: Any) -> bool:
        """Return whether an operand, or the first of a list, has the storage of a parameter."""
        tensor = next(tensors_in(operand), None)
        storage = self.storages.find(tensor) if tensor is not None else None
        return storage is not None and storage.category == "parameter"

    def is_constant(self, tensor: torch.Tensor) -> bool:
        """Return whether a tensor is a parameter, or was made by no operator and is no input of the model."""
        storage = self.storages.find(tensor)
        return storage is None or storage.category == "parameter"

    def memory(self) -> Memory:
        """Return the peaks and the timeline of live memory so far."""
        return self.storages.memory(self._activations)

    def _mark_gradients_after_backward(self) -> None:
        """Queue the marking of gradients on the autograd engine, once for each backward pass."""
        task = torch._C._current_graph_task_id()
        if task not in {-1, self._graph_task}:
            self._graph_task = task
            torch.autograd.Variable._execution_engine.queue_callback(self.marks.mark_gradients)

    def _enter_phase(self, phase: Phase) -> None:
        """Switch to *phase*. When a backward pass begins, the forward pass's live temporaries become activations."""
        previous, self.noted_phase = self.storages.enter_phase(phase), phase
        if (previous, phase) not in _FORWARD_TO_BACKWARD:
            return
        self.marks.mark_model()
        activations: Counter[str] = Counter()
        for storage in self.storages.take_forward_temporaries():
            self.storages.recategorize(storage, "activation")
            activations[storage.producer[1]] += storage.bytes
        if previous == "forward":
            self._activations |= activations  # each module's maximum over the steps
