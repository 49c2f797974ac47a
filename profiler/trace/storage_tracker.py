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
from profiler.trace.exchange_buffers import ExchangeBuffers, exchange_of
from profiler.trace.fsdp_groups import fsdp_exchange
from profiler.trace.held_tensors import Holdings
from profiler.trace.inner_tensors import inner_tensors
from profiler.trace.inventory import ModelInventory, inventory_of
from profiler.trace.memory_timeline import MemoryTimeline
from profiler.trace.nested_tensors import tensors_in
from profiler.trace.storage_ref import Contents, StorageRef

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from profiler.trace.argument_specs import SpecCache
    from profiler.trace.storage_ref import Producer
    from profiler.values.memory import Category, Memory, Moment
    from profiler.values.records import Phase


#: Events that may wait at a call of the model. More are summed there, where the categories of earlier calls are final.
_MAX_EVENTS_AT_CALL = 2**16
#: Events that may wait at any time. More are summed at once, by the categories known so far.
_MAX_EVENTS = 2**20
#: The producer of what a storage's own ``resize_`` allocates.
_RESIZE = "UntypedStorage.resize_"
_UNKNOWN_MODULE = "(before)"
#: Changes of phase at which what a forward pass has left is saved for backward.
_FORWARD_TO_BACKWARD = {("forward", "backward"), ("forward", "recompute"), ("recompute", "backward")}
_COPY = torch.ops.aten.copy_.default
#: Categories that an exchange between ranks makes more precise.
_TEMPORARY = frozenset({"temporary"})
_BUCKET = frozenset({"temporary", "activation", "input"})
_FORWARD = frozenset({"forward", "recompute"})
#: Attributes of an optimizer that hold no state of it, or that are looked at by themselves.
_NO_STATE = frozenset({"param_groups", "defaults", "state"})
#: Raised by tensors without a storage of their own: sparse, opaque or uninitialized ones.
_NO_STORAGE = (RuntimeError, NotImplementedError, ValueError)


class StorageTracker:
    """Tracks the live storages of one session through weak references.

    All of this runs while the model runs. To cost little time, it only appends events; they are summed later.
    """

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare to track the parameters, buffers and gradients of *model*, and everything allocated from now on."""
        self._model = model
        #: By address. A freed storage may stay here until another one is allocated at its address.
        self.live: dict[int, StorageRef] = {}
        #: Each storage when it is allocated and again when it is freed: its weak reference's callback appends it. And
        #: the first operator of each phase.
        self._events: list[StorageRef | Producer] = []
        #: The events of earlier starts of the session.
        self._earlier_events: list[StorageRef | Producer] = []
        #: Storages that existed when the session started, whenever they were found.
        self._existing: list[StorageRef] = []
        #: Whether events of the present start were summed.
        self._is_summed = False
        #: Storages still live when the session stopped. If it starts again, they count as freed at the stop.
        self._survivors: list[StorageRef] = []
        #: The storages of the model's parameters and buffers, by the ``id`` of these.
        self._model_storages: dict[int, StorageRef] = {}
        #: Operands that no operator is known to have written, and their storages. `UnseenWork` takes them.
        self.unproven: list[tuple[torch.Tensor, StorageRef]] = []
        #: Temporary storages of the current forward pass, which become activations if they outlive it.
        self._forward_temporaries: list[StorageRef] = []
        self._phase: Phase = "forward"
        #: The phase whose level at its start was noted; None before the first operator.
        self.noted_phase: Phase | None = None
        #: The producer of storages allocated outside the profiled block.
        self._unknown_producer: Producer = "", _UNKNOWN_MODULE, self._phase
        #: The inventory of the model at the last stop.
        self.inventory: ModelInventory | None = None
        self._timeline = MemoryTimeline()
        self._activations: Counter[str] = Counter()
        #: The backward pass (autograd's graph task) at whose end the gradients will be marked.
        self._graph_task = -1

    def start(self, holdings: Holdings) -> None:
        """Track the model's parameters, buffers and gradients; *holdings* are those of now."""
        self._earlier_events += self._survivors
        self._model_storages.clear()
        self.noted_phase, self._is_summed = None, False
        self._mark_model(holdings)
        self._track_survivors()
        self._mark(_gradients(holdings), "gradient")

    def stop(self) -> None:
        """Mark the model a last time, take its inventory and stop tracking. Nothing is seen until the next start."""
        holdings = Holdings(self._model)
        self._mark_model(holdings)
        self._mark(_gradients(holdings), "gradient")
        self.inventory = inventory_of(holdings)
        events, self._events = self._events, []
        self._earlier_events += [*self._take_existing(), *events]
        events.clear()  # the callbacks of storages that live on still append to this list
        self._survivors = list(self.live.values())
        self.live.clear()
        self._forward_temporaries.clear()

    def on_operator(self, producer: Producer) -> None:
        """Enter the operator's phase; while a backward pass runs, see to it that its gradients will be marked."""
        if producer[2] != self.noted_phase:
            self._enter_phase(producer[2])
            self._events.append(producer)
        if self._phase == "backward":
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
        live, cached = self.live, specs.cached
        storages: list[StorageRef | None] = []
        for i in positions:
            item = items[i]
            kind = type(item)
            if kind in TENSORS:
                try:
                    storage = live.get(item.untyped_storage()._cdata)
                    key = item.dtype, item.shape, item.layout
                    stored_once = item.is_contiguous() or 0 not in item.stride()
                except _NO_STORAGE:  # a sparse or a nested tensor
                    storages += [self._read(t, operator, storages) for t in specs.replace_tensors(items, (i,))]
                    continue
                if storage is None or storage() is None or storage.contents:
                    storage = self._read(item, operator, storages)
                storages.append(storage)
                items[i] = (stored_once and cached.get(key)) or specs.new_spec(item)
            elif kind not in PLAIN:
                storages += [self._read(t, operator, storages) for t in specs.replace_tensors(items, (i,))]
        return storages

    def write(self, results: list[Any], producer: Producer, specs: SpecCache, tracked: int) -> list[StorageRef | None]:
        """Track the first *tracked* results of an operator, and replace the tensors in *results* by their specs.

        Returns:
            The storage of each tracked tensor; None for a tensor that has none.
        """
        live, cached = self.live, specs.cached
        storages: list[StorageRef | None] = []
        for i, item in enumerate(results):
            untyped = None
            if type(item) in TENSORS and i < tracked:
                try:
                    key = item.dtype, item.shape, item.layout
                    stored_once = item.is_contiguous() or 0 not in item.stride()
                    untyped = item.untyped_storage()
                except _NO_STORAGE:
                    pass
            if untyped is None:
                tensors = specs.replace_tensors(results, (i,))
                storages += [self._track(tensor, producer, "temporary") for tensor in tensors if i < tracked]
                continue
            storage = live.get(untyped._cdata)
            if storage is None or storage() is None:
                storage = self._start_tracking(untyped, producer, "temporary")
            elif storage.bytes != untyped.nbytes():
                storage = self._retrack(untyped, storage, producer)
            storages.append(storage)
            results[i] = (stored_once and cached.get(key)) or specs.new_spec(item)
        return storages

    def _read(self, tensor: torch.Tensor, operator: Any, before: list[StorageRef | None]) -> StorageRef | None:
        """Return the storage of an operand that comes after those *before*; start tracking it if it is new."""
        try:
            storage = self.live.get(tensor.untyped_storage()._cdata)
        except _NO_STORAGE:
            return None
        if storage is not None and storage() is not None:
            if storage.contents:
                self.unproven.append((tensor, storage))
            return storage
        if operator is _COPY and _is_received(before):
            return storage
        unseen: Category = "input" if exchange_of(operator) is None else "communication"
        storage = self._track(tensor, self._unknown_producer, unseen, existing=self._phase == "backward")
        if storage is not None:
            self.unproven.append((tensor, storage))
        return storage

    def hand_over(self, read: list[StorageRef | None], results: Iterable[Any]) -> None:
        """Let the result of a wait take the place of what was waited for: fake tensors make a new storage of it."""
        for storage, tensor in zip(read, results, strict=False):
            untyped = tensor.untyped_storage()
            if storage is not None and untyped._cdata != storage.key:
                self._events.append(storage)  # ends here, and not when its tensor does
                self._start_tracking(untyped, storage.producer, storage.category)

    def mark_exchanged(
        self, exchange: ExchangeBuffers, read: list[StorageRef | None], written: list[StorageRef | None]
    ) -> None:
        """Mark the buffers of a collective, and of FSDP's copies into and out of its flat buffers."""
        for storage in (*read, *written):
            if storage is not None:
                storage.is_exchanged = True
        if exchange in {ExchangeBuffers.FUNCTIONAL, ExchangeBuffers.WAITS}:
            return
        if exchange is ExchangeBuffers.COPIES_OUT:
            self._recategorize_all(read[:1], "communication", _TEMPORARY)
            self._recategorize_all(read[1:], "gathered", _TEMPORARY)
        elif exchange is ExchangeBuffers.COPIES_IN:
            self._recategorize_all(written, "communication", _TEMPORARY)
        elif self._phase not in _FORWARD:  # what a forward pass exchanges are activations
            is_bucket = exchange is ExchangeBuffers.REDUCED_IN_PLACE  # DDP may allocate it during a forward pass
            self._recategorize_all(read, "communication", _BUCKET if is_bucket else _TEMPORARY)

    def _recategorize_all(
        self, storages: Iterable[StorageRef | None], category: Category, previous: frozenset[str]
    ) -> None:
        """Move those of *storages* that have one of the *previous* categories to *category*."""
        for storage in storages:
            if storage is not None and storage.category in previous:
                self._recategorize(storage, category)

    def find(self, tensor: torch.Tensor) -> StorageRef | None:
        """Return what is known of the storage of *tensor*; None if it is not tracked."""
        try:
            storage = self.live.get(tensor.untyped_storage()._cdata)
        except _NO_STORAGE:
            return None
        return storage if storage is not None and storage() is not None else None

    def adopt(self, tensor: torch.Tensor, producer: Producer | None, category: Category) -> None:
        """Track a tensor that is no result of an operator; without a *producer*, it comes from outside."""
        self._track(tensor, producer or self._unknown_producer, category)

    def on_resize(self, untyped: torch.UntypedStorage) -> None:
        """Count a storage with its new size."""
        tracked = self.live.get(untyped._cdata)
        if tracked is None or tracked() is None:
            if untyped.nbytes():
                category: Category = "gathered" if fsdp_exchange() is not None else "temporary"
                self._start_tracking(untyped, (_RESIZE, _UNKNOWN_MODULE, self._phase), category)
        elif tracked.bytes != untyped.nbytes():
            self._retrack(untyped, tracked, (_RESIZE, tracked.producer[1], self._phase))

    def on_model_call(self, arguments: Any) -> None:
        """Mark the tensors among the arguments of a call of the model as inputs; sum events if many wait."""
        for tensor in chain.from_iterable(map(inner_tensors, tensors_in(arguments))):
            storage = self._track(tensor, self._unknown_producer, "input")
            if storage is not None and storage.category == "temporary" and storage.producer[2] == "forward":
                self._recategorize(storage, "input")
        self.trim(_MAX_EVENTS_AT_CALL)

    def holds_parameter(self, operand: Any) -> bool:
        """Return whether an operand, or the first of a list, has the storage of a parameter."""
        tensor = next(tensors_in(operand), None)
        storage = self.find(tensor) if tensor is not None else None
        return storage is not None and storage.category == "parameter"

    def trim(self, max_events: int = _MAX_EVENTS) -> None:
        """Sum the waiting events and drop them if there are more than *max_events*."""
        if len(self._earlier_events) + len(self._events) > max_events:
            self._sum_events()

    def mark_gradients(self) -> None:
        """Mark the current gradients of the model's parameters."""
        self._mark(_gradients(Holdings(self._model)), "gradient")

    def mark_optimizer_states(self, optimizer: torch.optim.Optimizer, *, begins: bool) -> None:
        """Mark the states of an optimizer and the gradients of its parameters. What is new when it *begins* existed."""
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        self._mark((p.grad for p in parameters if p.grad is not None), "gradient", existing=begins)
        attributes = [value for name, value in vars(optimizer).items() if name not in _NO_STATE]
        self._mark(tensors_in([*optimizer.state.values(), *attributes]), "optimizer_state", existing=begins)

    def peak(self) -> Moment:
        """Return the moment of the most live memory so far."""
        self._sum_events()
        return self._timeline.peak

    def memory(self) -> Memory:
        """Return the peaks and the timeline of live memory so far."""
        self._sum_events()
        return self._timeline.memory(dict(self._activations))

    def _mark_model(self, holdings: Holdings) -> None:
        """Mark the model's parameters and buffers that are not yet marked; it may create some when it runs."""
        self._mark(holdings.copies, "gathered")
        self._mark_held(holdings.parameters, "parameter")
        self._mark_held(holdings.buffers, "buffer")

    def _mark_held(self, tensors: Iterable[torch.Tensor], category: Category) -> None:
        """Mark the tensors that were not marked before, or that have another storage since."""
        marked, live = self._model_storages, self.live
        for tensor in tensors:
            for inner in (tensor,) if type(tensor) in TENSORS else inner_tensors(tensor):
                try:
                    untyped = inner.untyped_storage()
                except _NO_STORAGE:
                    continue
                key = untyped._cdata
                storage = marked.get(id(inner))
                if storage is not None and storage.key == key and storage() is not None:
                    continue
                storage = live.get(key)
                if storage is None or storage() is None:
                    storage = self._start_tracking(untyped, self._unknown_producer, category)
                else:
                    self._mark((inner,), category)
                marked[id(inner)] = live[key]

    def _mark_gradients_after_backward(self) -> None:
        """Queue `mark_gradients` on the autograd engine, once for each backward pass."""
        task = torch._C._current_graph_task_id()
        if task not in {-1, self._graph_task}:
            self._graph_task = task
            torch.autograd.Variable._execution_engine.queue_callback(self.mark_gradients)

    def _mark(self, tensors: Iterable[torch.Tensor], category: Category, *, existing: bool = False) -> None:
        """Track *tensors* in this category. Parameters and buffers keep theirs.

        Those that are new to us count from the start of the block if they are *existing*.
        """
        inner = (((t,) if type(t) in TENSORS else inner_tensors(t)) for t in tensors)
        for tensor in chain.from_iterable(inner):
            storage = self._track(tensor, self._unknown_producer, category, existing=existing)
            if storage is not None and storage.category not in {category, "parameter", "buffer"}:
                self._recategorize(storage, category)

    def _recategorize(self, storage: StorageRef, category: Category) -> None:
        storage.category = category
        self._timeline.recategorize(storage)

    def _track_survivors(self) -> None:
        """Track what an earlier block left, and what still lives."""
        survivors, self._survivors = self._survivors, []
        for survivor in survivors:
            untyped = survivor()
            if untyped is not None and self.live.get(survivor.key) is None:
                self._start_tracking(untyped, survivor.producer, survivor.category)

    def _track(
        self, tensor: torch.Tensor, producer: Producer, category: Category, *, existing: bool = False
    ) -> StorageRef | None:
        """Return the tracked storage of *tensor*; start tracking it with this producer and category if it is new.

        One that is new to us and *existing* counts from the start of the block.
        """
        try:
            untyped = tensor.untyped_storage()
        except _NO_STORAGE:
            return None
        key, size = untyped._cdata, untyped.nbytes()
        tracked = self.live.get(key)
        if tracked is None or tracked() is None:
            return self._start_tracking(untyped, producer, category, existing=existing)
        return tracked if tracked.bytes == size else self._retrack(untyped, tracked, producer)

    def _retrack(self, untyped: torch.UntypedStorage, tracked: StorageRef, producer: Producer) -> StorageRef:
        """Count a resized storage as freed, and as allocated anew with its new size, in the same category."""
        self._events.append(tracked)
        return self._start_tracking(untyped, producer, tracked.category)

    def _start_tracking(
        self, untyped: torch.UntypedStorage, producer: Producer, category: Category, *, existing: bool = False
    ) -> StorageRef:
        key, size = untyped._cdata, untyped.nbytes()
        storage = self.live[key] = StorageRef(untyped, self._events.append)
        storage.key, storage.bytes, storage.producer = key, size, producer
        storage.category, storage.counted_as, storage.removed = category, None, False
        storage.is_exchanged, storage.contents = False, Contents.WRITTEN
        (self._existing if existing else self._events).append(storage)
        if category == "temporary" and self._phase in _FORWARD:
            self._forward_temporaries.append(storage)
        return storage

    def _is_live(self, storage: StorageRef) -> bool:
        return storage() is not None and self.live.get(storage.key) is storage

    def _enter_phase(self, phase: Phase) -> None:
        """Switch to *phase*. When a backward pass begins, the forward pass's live temporaries become activations."""
        previous, self._phase, self.noted_phase = self._phase, phase, phase
        self._unknown_producer = "", _UNKNOWN_MODULE, phase
        if (previous, phase) not in _FORWARD_TO_BACKWARD:
            return
        self._mark_model(Holdings(self._model))
        activations: Counter[str] = Counter()
        for storage in self._forward_temporaries:
            if storage.category == "temporary" and self._is_live(storage):
                self._recategorize(storage, "activation")
                activations[storage.producer[1]] += storage.bytes
        self._forward_temporaries.clear()
        if previous == "forward":
            self._activations |= activations  # each module's maximum over the steps

    def _take_existing(self) -> list[StorageRef]:
        """Return the existing storages that are to be added before the waiting events, and forget them."""
        existing, self._existing = self._existing, []
        if not self._is_summed:
            return existing
        self._timeline.add_from_start(existing)
        return []

    def _sum_events(self) -> None:
        """Replay the waiting events into the timeline, and drop the references to freed storages."""
        self._timeline.replay(self._earlier_events)
        self._timeline.replay([*self._take_existing()])
        self._timeline.replay(self._events)
        self._earlier_events.clear()
        self._events.clear()
        self._is_summed = True
        self._forward_temporaries = [storage for storage in self._forward_temporaries if self._is_live(storage)]
        for key in [key for key, storage in self.live.items() if storage() is None]:
            del self.live[key]


def _is_received(operands: list[StorageRef | None]) -> bool:
    """Return whether the first operand was the buffer of a collective.

    What is copied into it from memory that nobody has seen comes from the backend's own buffer: gloo has one.
    """
    return bool(operands) and operands[0] is not None and operands[0].is_exchanged


def _gradients(holdings: Holdings) -> list[torch.Tensor]:
    """List the current gradients of the modules' own parameters."""
    return [gradient for parameter in holdings.parameters if (gradient := parameter.grad) is not None]
