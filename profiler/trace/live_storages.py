"""The storages that are live, and the events of their allocation and release, which are summed when they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.trace.inner_tensors import sparse_parts
from profiler.trace.memory_timeline import MAX_MOMENTS, MemoryTimeline
from profiler.trace.storage_ref import Contents, StorageRef

if TYPE_CHECKING:
    from collections import Counter

    import torch

    from profiler.trace.storage_ref import Producer
    from profiler.values.memory import Category, Memory, Moment
    from profiler.values.records import Phase


#: Events that may wait at any time. More are summed at once, by the categories known so far.
_MAX_EVENTS = 2**20
#: The module of what was allocated outside the profiled block.
UNKNOWN_MODULE = "(before)"
#: Raised by tensors without a storage of their own: sparse, opaque or uninitialized ones.
NO_STORAGE = (RuntimeError, NotImplementedError, ValueError)
_WRITTEN = Contents.WRITTEN
FORWARD = frozenset({"forward", "recompute"})


class LiveStorages:
    """The live storages of one session, by weak references.

    All of this runs while the model runs. To cost little time, it only appends events; they are summed later.
    """

    def __init__(self, moments: int = MAX_MOMENTS) -> None:
        """Start with no storage; the timeline will have at most so many moments."""
        #: By address. A freed storage may stay here until another one is allocated at its address.
        self.live: dict[int, StorageRef] = {}
        #: Each storage when it is allocated and again when it is freed: its weak reference's callback appends it. And
        #: the first operator of each phase.
        self.events: list[StorageRef | Producer] = []
        #: The events of earlier starts of the session.
        self.earlier_events: list[StorageRef | Producer] = []
        #: Storages that existed when the session started, whenever they were found.
        self._existing: list[StorageRef] = []
        #: Whether events of the present start were summed.
        self._is_summed = False
        #: Storages still live when the session stopped. If it starts again, they count as freed at the stop.
        self._survivors: list[StorageRef] = []
        #: Temporary storages of the current forward pass, which become activations if they outlive it.
        self._forward_temporaries: list[StorageRef] = []
        self.phase: Phase = "forward"
        #: The producer of storages allocated outside the profiled block.
        self.unknown_producer: Producer = "", UNKNOWN_MODULE, self.phase
        self._timeline = MemoryTimeline(moments)

    def start(self) -> None:
        """Begin anew; what an earlier block left has ended with it."""
        self.earlier_events += self._survivors
        self._is_summed = False

    def stop(self) -> None:
        """Stop tracking. Nothing is noted until the next start."""
        events, self.events = self.events, []
        self.earlier_events += [*self._take_existing(), *events]
        events.clear()  # the callbacks of storages that live on still append to this list
        self._survivors = list(self.live.values())
        self.live.clear()
        self._forward_temporaries.clear()

    def track_survivors(self) -> None:
        """Track what an earlier block left, and what still lives."""
        survivors, self._survivors = self._survivors, []
        for survivor in survivors:
            untyped = survivor()
            if untyped is not None and self.live.get(survivor.key) is None:
                self.start_tracking(untyped, survivor.producer, survivor.category)

    def enter_phase(self, phase: Phase) -> Phase:
        """Switch to *phase*, and return the previous one."""
        previous, self.phase = self.phase, phase
        self.unknown_producer = "", UNKNOWN_MODULE, phase
        return previous

    def take_forward_temporaries(self) -> list[StorageRef]:
        """Return the temporary storages of the forward pass that are still live, and forget them."""
        temporaries, self._forward_temporaries = self._forward_temporaries, []
        return [storage for storage in temporaries if storage.category == "temporary" and self._is_live(storage)]

    def find(self, tensor: torch.Tensor) -> StorageRef | None:
        """Return what is known of the storage of *tensor*; None if it is not tracked."""
        try:
            storage = self.live.get(tensor.untyped_storage()._cdata)
        except NO_STORAGE:
            return None
        return storage if storage is not None and storage() is not None else None

    def track(
        self, tensor: torch.Tensor, producer: Producer, category: Category, *, existing: bool = False
    ) -> StorageRef | None:
        """Return the tracked storage of *tensor*; start tracking it with this producer and category if it is new.

        One that is new to us and *existing* counts from the start of the block. A sparse tensor has none: what is
        inside is tracked.
        """
        try:
            untyped = tensor.untyped_storage()
        except NO_STORAGE:
            for part in sparse_parts(tensor):
                self.track(part, producer, category, existing=existing)
            return None
        key, size = untyped._cdata, untyped.nbytes()
        tracked = self.live.get(key)
        if tracked is None or tracked() is None:
            return self.start_tracking(untyped, producer, category, existing=existing)
        return tracked if tracked.bytes == size else self.retrack(untyped, tracked, producer)

    def retrack(self, untyped: torch.UntypedStorage, tracked: StorageRef, producer: Producer) -> StorageRef:
        """Count a resized storage as freed, and as allocated anew with its new size, in the same category."""
        self.events.append(tracked)
        return self.start_tracking(untyped, producer, tracked.category)

    def start_tracking(
        self, untyped: torch.UntypedStorage, producer: Producer, category: Category, *, existing: bool = False
    ) -> StorageRef:
        """Track a storage that is new to us, and return it."""
        append = self.events.append
        storage = StorageRef(untyped, append)
        storage.key = key = untyped._cdata
        storage.bytes = untyped.nbytes()
        storage.producer, storage.category = producer, category
        storage.counted_as = None
        storage.removed = storage.is_exchanged = False
        storage.contents = _WRITTEN
        self.live[key] = storage
        if existing:
            self._existing.append(storage)
        else:
            append(storage)
        if category == "temporary" and self.phase in FORWARD:
            self._forward_temporaries.append(storage)
        return storage

    def recategorize(self, storage: StorageRef, category: Category) -> None:
        """Move a storage to *category*."""
        storage.category = category
        self._timeline.recategorize(storage)

    def trim(self, max_events: int = _MAX_EVENTS) -> None:
        """Sum the waiting events and drop them if there are more than *max_events*."""
        if len(self.earlier_events) + len(self.events) > max_events:
            self._sum_events()

    def peak(self) -> Moment:
        """Return the moment of the most live memory so far."""
        self._sum_events()
        return self._timeline.peak

    def memory(self, activations: Counter[str]) -> Memory:
        """Return the peaks and the timeline of live memory so far, with the *activations* by module, in bytes."""
        self._sum_events()
        return self._timeline.memory(dict(activations))

    def _is_live(self, storage: StorageRef) -> bool:
        return storage() is not None and self.live.get(storage.key) is storage

    def _take_existing(self) -> list[StorageRef]:
        """Return the existing storages that are to be added before the waiting events, and forget them."""
        existing, self._existing = self._existing, []
        if not self._is_summed:
            return existing
        self._timeline.add_from_start(existing)
        return []

    def _sum_events(self) -> None:
        """Replay the waiting events into the timeline, and drop the references to freed storages."""
        self._timeline.replay(self.earlier_events)
        self._timeline.replay([*self._take_existing()])
        self._timeline.replay(self.events)
        self.earlier_events.clear()
        self.events.clear()
        self._is_summed = True
        self._forward_temporaries = [storage for storage in self._forward_temporaries if self._is_live(storage)]
        for key in [key for key, storage in self.live.items() if storage() is None]:
            del self.live[key]
