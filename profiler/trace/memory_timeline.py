"""Live memory by category over a run: running sums, their peaks, and a timeline of bounded length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.values.memory import CATEGORIES, Memory, Moment, with_total

if TYPE_CHECKING:
    from profiler.trace.storage_ref import StorageRef
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

    def replay(self, events: list[StorageRef]) -> None:
        """Add each storage at its first event, its allocation, and subtract it at its second, when it is freed.

        A resized storage appears a third time. It was already subtracted at the resize, so the event that its weak
        reference adds when it is freed is ignored.
        """
        for storage in events:
            if storage.removed:
                continue
            self._event_count += 1
            if storage.counted_as is None:
                self._add(storage)
                self._update_peaks(storage)
            else:
                self._subtract(storage)
                storage.removed = True

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

    def _update_peaks(self, storage: StorageRef) -> None:
        """Compare the current sums with each peak. A `Moment` is built only for a new peak, and once."""
        now: Moment | None = None
        phase = storage.producer[2]
        if self._peak is None or self._total > self._peak.total:
            now = self._peak = self._moment(storage)
        if phase not in self._phase_peaks or self._total > self._phase_peaks[phase].total:
            self._phase_peaks[phase] = now = now or self._moment(storage)
        if self._stride_peak is None or self._total > self._stride_peak.total:
            self._stride_peak = now or self._moment(storage)
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

    def _moment(self, storage: StorageRef) -> Moment:
        operator, module, phase = storage.producer
        return Moment(self._event_count, module, str(operator), phase, self._sums | {"total": self._total})
