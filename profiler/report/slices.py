"""The operator calls of a run as slices of time, for formats that show a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.report.page.time_by_module import seconds_by_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.tally import Entry, Profile

#: Without a projection there is no time; a slice is then as long as its FLOPs, at this many per nanosecond.
FLOPS_PER_NS = 1000


@dataclass(frozen=True, slots=True)
class Slice:
    """A call of an operator, or all equal calls of a module together where their order is not known."""

    entry: Entry
    calls: int
    start_ns: int
    end_ns: int


def slices(profile: Profile) -> list[Slice]:
    """Return the operator calls one after the other.

    They are in the order of the run if the profile has its data flow. A slice is as long as the call's estimated time;
    without a projection, `FLOPS_PER_NS` FLOPs are a nanosecond.
    """
    estimates = {id(entry): seconds for entry, seconds in seconds_by_entry(profile)}
    found, end = [], 0.0
    for entry, calls in _calls(profile):
        share = calls / entry.record.calls if entry.record.calls else 0
        nanoseconds = estimates.get(id(entry), 0.0) * 1e9 * share if estimates else calls * entry.flops / FLOPS_PER_NS
        start, end = end, end + nanoseconds
        found.append(Slice(entry, calls, round(start), round(end)))
    return found


def _calls(profile: Profile) -> Iterator[tuple[Entry, int]]:
    if profile.flow is None:
        yield from ((entry, entry.record.calls) for entry in profile.entries)
    else:
        yield from ((profile.entries[step.record], 1) for step in profile.flow)
