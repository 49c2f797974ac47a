"""The estimated seconds of each module, as far as a projection tells them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.tally import Entry, Profile
    from profiler.values.projection import OperatorBound, Projection

_K = TypeVar("_K")


def seconds_by_module(profile: Profile) -> dict[str, float]:
    """Return the estimated seconds of the operators that each module calls itself; empty without a projection.

    A projection estimates each operator over all its calls. The calls share that time in proportion to their rooflines:
    the larger of operations ÷ peak and bytes ÷ bandwidth.
    """
    return dict(_sums((entry.record.module, seconds) for entry, seconds in seconds_by_entry(profile)))


def seconds_by_entry(profile: Profile) -> list[tuple[Entry, float]]:
    """Return the entries that a projection times, each with the estimated seconds of all its calls."""
    projection = profile.projection
    if projection is None:
        return []
    rows = {(row.operator, row.dtype): row for row in projection.operators}
    timed = [(entry, rows[key]) for entry in profile.entries if (key := (entry.record.packet, entry.dtype)) in rows]
    weights = [(entry, row, _weight(entry, row, projection)) for entry, row in timed]
    sums = _sums(((row.operator, row.dtype), weight) for _, row, weight in weights)
    return [
        (entry, row.estimate_s * weight / total)
        for entry, row, weight in weights
        if (total := sums[row.operator, row.dtype])
    ]


def _weight(entry: Entry, row: OperatorBound, projection: Projection) -> float:
    """Return the roofline of all calls of an entry, in seconds; only its ratio to the others matters."""
    figure = projection.bandwidth_bytes_per_s
    bandwidth = float(figure.value) if figure is not None else None
    peak = float(projection.peak_ops_per_s.value)
    if row.ridge_ops_per_byte and bandwidth:
        peak = row.ridge_ops_per_byte * bandwidth
    operations = 2 * entry.masked_macs + entry.other_flops + entry.transcendentals
    moved = entry.bytes_read + entry.bytes_written
    return entry.record.calls * max(operations / peak, moved / bandwidth if bandwidth else 0.0)


def _sums(parts: Iterable[tuple[_K, float]]) -> dict[_K, float]:
    sums: dict[_K, float] = defaultdict(float)
    for key, amount in parts:
        sums[key] += amount
    return sums
