"""Live memory by category over a run: running sums, their peaks, and a timeline of bounded length."""

from __future__ import annotations

from functools import partial
from operator import add, sub
from typing import TYPE_CHECKING, NamedTuple

from profiler.values.memory import CATEGORIES, Memory, Moment, with_total

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.trace.storage_ref import Producer, StorageRef
    from profiler.values.records import Phase

#: The most moments of a timeline, unless more are asked for.
MAX_MOMENTS = 256


class _Level(NamedTuple):
    """The live bytes at one point. One is made for most allocations, so it is not yet a `Moment`."""

    total: int
    at: int
    producer: Producer
    #: By category, in the order of ``CATEGORIES``.
    sums: tuple[int, ...]

    def moment(self) -> Moment:
        """Return it as a moment."""
        operator, module, phase = self.producer
        return Moment(self.at, module, str(operator), phase, with_total(dict(zip(CATEGORIES, self.sums, strict=True))))


class MemoryTimeline:
    """Sums the live storages by category, event by event, and records the peaks."""

    def __init__(self, moments: int = MAX_MOMENTS) -> None:
        """Start with no live storage; the timeline has at most so many moments."""
        self._max_moments = moments
        self._sums = dict.fromkeys(CATEGORIES, 0)
        self._total = self._event_count = 0
        #: One moment of the timeline stands for so many events: for the highest of them.
        self._stride = 1
        self._peak: _Level | None = None
        self._phase_peaks: dict[Phase, _Level] = {}
        #: The highest moment since the last one that was appended to the timeline.
        self._stride_peak: _Level | None = None
        self._timeline: list[_Level] = []

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
        before = tuple(self._sums.values())
        for storage in storages:
            self._add(storage)
        added = tuple(map(sub, self._sums.values(), before))
        raised = partial(_raised, added=added)
        self._peak = self._peak and raised(self._peak)
        self._stride_peak = self._stride_peak and raised(self._stride_peak)
        self._phase_peaks = {phase: raised(level) for phase, level in self._phase_peaks.items()}
        self._timeline = list(map(raised, self._timeline))

    def recategorize(self, storage: StorageRef) -> None:
        """Move the bytes of a storage that is already counted to its new category."""
        if storage.counted_as not in {None, storage.category}:
            self._subtract(storage)
            self._add(storage)

    def memory(self, activations: dict[str, int]) -> Memory:
        """Return the peaks and the timeline, together with the *activations* in bytes by module."""
        last = [self._stride_peak] if self._stride_peak is not None else []
        return Memory(
            self.peak,
            {phase: level.moment() for phase, level in self._phase_peaks.items()},
            tuple(level.moment() for level in (*self._timeline, *last)),
            activations,
        )

    @property
    def peak(self) -> Moment:
        """The highest moment so far."""
        empty = _Level(0, 0, ("", "", "forward"), (0,) * len(CATEGORIES))
        return (self._peak or empty).moment()

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
        total, phase = self._total, producer[2]
        is_peak = self._peak is None or total > self._peak.total
        highest = self._phase_peaks.get(phase)
        is_phase_peak = highest is None or total > highest.total
        is_stride_peak = self._stride_peak is None or total > self._stride_peak.total
        if is_peak or is_phase_peak or is_stride_peak:
            now = _Level(total, self._event_count, producer, tuple(self._sums.values()))
            self._peak = now if is_peak else self._peak
            self._stride_peak = now if is_stride_peak else self._stride_peak
            if is_phase_peak:
                self._phase_peaks[phase] = now
        if self._event_count % self._stride == 0 and self._stride_peak is not None:
            self._timeline.append(self._stride_peak)
            self._stride_peak = None
            self._thin()

    def _thin(self) -> None:
        """Keep the higher moment of each pair once the timeline is full."""
        if len(self._timeline) >= self._max_moments:
            pairs = zip(self._timeline[::2], self._timeline[1::2], strict=False)
            self._timeline = [max(pair, key=lambda level: level.total) for pair in pairs]
            self._stride *= 2


def _raised(level: _Level, added: tuple[int, ...]) -> _Level:
    """Return *level* with more bytes of each category."""
    return level._replace(total=level.total + sum(added), sums=tuple(map(add, level.sums, added)))
