"""The estimated seconds of each module, as far as a projection tells them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.tally import Entry, Profile


def seconds_by_module(profile: Profile) -> dict[str, float]:
    """Return the estimated seconds of the operators that each module calls itself; empty without a projection."""
    sums: dict[str, float] = defaultdict(float)
    for entry, seconds in seconds_by_entry(profile):
        sums[entry.record.module] += seconds
    return dict(sums)


def seconds_by_entry(profile: Profile) -> list[tuple[Entry, float]]:
    """Return the entries that a projection times, each with the estimated seconds of all its calls."""
    seconds = profile.projection.entry_s if profile.projection is not None else ()
    return [(entry, s) for entry, s in zip(profile.entries, seconds, strict=False) if s]
