"""What lived when: the sums of the storages by category, event by event, their peaks and their timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.values.memory import CATEGORIES, Memory, Moment, with_total

if TYPE_CHECKING:
    from profiler.trace.storage_tracker import StorageRef
    from profiler.values.records import Phase

_MOMENTS = 256  # of the timeline


class MemoryTimeline:
    """The sums of what lives, event by event."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sums = dict.fromkeys(CATEGORIES, 0)
        self._total = self._at = 0
        self._stride, self._best = 1, 0
        self._peak: Moment | None = None
        self._peaks: dict[Phase, Moment] = {}
        self._highest: Moment | None = None
        self._timeline: list[Moment] = []

    def follow(self, events: list[StorageRef]) -> None:
        """Add what comes, and take it away when it goes: the first time and the second that a storage is met.

        One that was resized is there a third time: it went when it was, and not when it went indeed.
        """
        for stored in events:
            if stored.gone:
                continue
            self._at += 1
            if stored.counted is None:
                self._add(stored, 1)
                self._note(stored)
            else:
                self._add(stored, -1)
                stored.gone = True

    def move(self, stored: StorageRef) -> None:
        """Follow a storage that was counted to another category."""
        if stored.counted not in {None, stored.category}:
            self._add(stored, -1)
            self._add(stored, 1)

    def memory(self, activations: dict[str, int]) -> Memory:
        """Give the peaks, and the timeline."""
        last = [self._highest] if self._highest is not None else []
        nothing = Moment(0, "", "", "forward", with_total(dict.fromkeys(CATEGORIES, 0)))
        return Memory(self._peak or nothing, dict(self._peaks), (*self._timeline, *last), activations)

    def _add(self, stored: StorageRef, sign: int) -> None:
        if sign > 0:
            stored.counted = stored.category
        self._sums[stored.counted or stored.category] += sign * stored.bytes
        self._total += sign * stored.bytes
        if sign < 0:
            stored.counted = None

    def _note(self, stored: StorageRef) -> None:
        here: Moment | None = None
        phase = stored.maker[2]
        if self._peak is None or self._total > self._peak.total:
            here = self._peak = self._moment(stored)
        if phase not in self._peaks or self._total > self._peaks[phase].total:
            self._peaks[phase] = here = here or self._moment(stored)
        if self._highest is None or self._total > self._highest.total:
            self._highest = here or self._moment(stored)
        if self._at % self._stride == 0:
            self._timeline.append(self._highest)
            self._highest = None
            self._thin()

    def _thin(self) -> None:
        """Where the timeline grows too long, keep the higher of each pair."""
        if len(self._timeline) >= _MOMENTS:
            pairs = zip(self._timeline[::2], self._timeline[1::2], strict=False)
            self._timeline = [max(pair, key=lambda moment: moment.total) for pair in pairs]
            self._stride *= 2

    def _moment(self, stored: StorageRef) -> Moment:
        operator, module, phase = stored.maker
        return Moment(self._at, module, str(operator), phase, self._sums | {"total": self._total})
