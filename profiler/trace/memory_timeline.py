"""Live memory by category over a run: running sums, their peaks, and a timeline of bounded length."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from profiler.values.memory import CATEGORIES, Memory, Moment, with_total

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.trace.storage_ref import Producer, StorageRef
    from profiler.values.memory import Table
    from profiler.values.records import Phase

_MAX_MOMENTS = 256  # in the timeline


class MemoryTimeline:
    """Sums the live storages by category, event by event, and records the peaks."""

    def __init__(self) -> None:
        """Start with no live storage."""
        self._sums = dict.fromkeys(CATEGORIES, 0)
        self._total = self._event_count = 0
        #: One moment of the timeline stands for so many events: for the highest of them.
        self._stride = 1
        self._peak: Moment | None = None
        self._phase_peaks: dict[Phase, Moment] = {}
        #: The highest moment since the last one that was appended to the timeline.
        self._stride_peak: Moment | None = None
        self._timeline: list[Moment] = []

    def replay(self, events: list[StorageRef | Producer]) -> None:
        """Add each storage at its first event, its allocation, and subtract it at its second, when it is freed.

        A resized storage appears a third time. It was already subtracted at the resize, so the event that its weak
        reference adds when it is freed is ignored. A producer is the first operator of a phase: the level at its start.
        """
        for event in events:
            if isinstance(event, tuple):
                self._update_peaks(event)
                continue
            storage = event
            if storage.removed:
                continue
            self._event_count += 1
            if storage.counted_as is None:
                self._add(storage)
                self._update_peaks(storage.producer)
            else:
                self._subtract(storage)
                storage.removed = True

    def add_from_start(self, storages: Iterable[StorageRef]) -> None:
        """Add storages that were live all along: every moment so far is higher by them."""
        before = dict(self._sums)
        for storage in storages:
            self._add(storage)
        added: Table = {category: size - before[category] for category, size in self._sums.items()}
        raised = partial(_raised, added=with_total(added))
        self._peak = self._peak and raised(self._peak)
        self._stride_peak = self._stride_peak and raised(self._stride_peak)
        self._phase_peaks = {phase: raised(moment) for phase, moment in self._phase_peaks.items()}
        self._timeline = list(map(raised, self._timeline))

    def recategorize(self, storage: StorageRef) -> None:
        """Move the bytes of a storage that is already counted to its new category."""
        if storage.counted_as not in {None, storage.category}:
            self._subtract(storage)
            self._add(storage)

    def memory(self, activations: dict[str, int]) -> Memory:
        """Return the peaks and the timeline, together with the *activations* in bytes by module."""
        last = [self._stride_peak] if self._stride_peak is not None else []
        empty = Moment(0, "", "", "forward", with_total(dict.fromkeys(CATEGORIES, 0)))
        return Memory(self._peak or empty, dict(self._phase_peaks), (*self._timeline, *last), activations)

    def _add(self, storage: StorageRef) -> None:
        storage.counted_as = storage.category
        self._sums[storage.category] += storage.bytes
        self._total += storage.bytes

    def _subtract(self, storage: StorageRef) -> None:
        self._sums[storage.counted_as or storage.category] -= storage.bytes
        self._total -= storage.bytes
        storage.counted_as = None

    def _update_peaks(self, producer: Producer) -> None:
        """Compare the current sums with each peak. A `Moment` is built only for a new peak, and once."""
        now: Moment | None = None
        phase = producer[2]
        if self._peak is None or self._total > self._peak.total:
            now = self._peak = self._moment(producer)
        if phase not in self._phase_peaks or self._total > self._phase_peaks[phase].total:
            self._phase_peaks[phase] = now = now or self._moment(producer)
        if self._stride_peak is None or self._total > self._stride_peak.total:
            self._stride_peak = now or self._moment(producer)
        if self._event_count % self._stride == 0:
            self._timeline.append(self._stride_peak)
            self._stride_peak = None
            self._thin()

    def _thin(self) -> None:
        """Keep the higher moment of each pair once the timeline is full."""
        if len(self._timeline) >= _MAX_MOMENTS:
            pairs = zip(self._timeline[::2], self._timeline[1::2], strict=False)
            self._timeline = [max(pair, key=lambda moment: moment.total) for pair in pairs]
            self._stride *= 2

    def _moment(self, producer: Producer) -> Moment:
        operator, module, phase = producer
        return Moment(self._event_count, module, str(operator), phase, self._sums | {"total": self._total})


def _raised(moment: Moment, added: Table) -> Moment:
    """Return *moment* with more bytes of each category."""
    return replace(moment, bytes={name: size + added[name] for name, size in moment.bytes.items()})
