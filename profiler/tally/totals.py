"""What work costs: of one operator call, and summed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from profiler.values.memory import Table
    from profiler.values.records import OpRecord

_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Totals:
    """A sum of work. The unit of each is in its name's own line of the convention."""

    macs: int = 0
    masked_macs: int = 0
    other_flops: int = 0
    transcendentals: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    params: int = 0
    trainable_params: int = 0
    buffers: int = 0
    #: Calls of operators that no rule counts: with any, the others are lower bounds.
    uncounted: int = 0
    #: Of the whole and of a phase: bytes live at the peak, by category, with their "total".
    peak_memory: Table = field(default_factory=dict)

    @property
    def flops(self) -> int:
        """Two for each MAC, and the rest."""
        return 2 * self.macs + self.other_flops

    def __add__(self, other: Totals) -> Totals:
        """Sum field by field; a sum of work has no peak of its own."""
        return Totals(*(getattr(self, f) + getattr(other, f) for f in _SUMMED))


_SUMMED = tuple(f.name for f in fields(Totals) if f.name != "peak_memory")
_figures = attrgetter(*_SUMMED)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and what **one** of its calls costs."""

    record: OpRecord
    #: The kind of rule: "formula", "pointwise", "moves", "free", "foreign", or "uncounted".
    kind: str
    dtype: str
    macs: int = 0
    masked_macs: int = 0
    other_flops: int = 0
    transcendentals: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def totals(self) -> Totals:
        """The work of all its calls."""
        n = self.record.calls
        return Totals(
            macs=n * self.macs,
            masked_macs=n * self.masked_macs,
            other_flops=n * self.other_flops,
            transcendentals=n * self.transcendentals,
            bytes_read=n * self.bytes_read,
            bytes_written=n * self.bytes_written,
            uncounted=n if self.kind == "uncounted" else 0,
        )


def sum_totals(totals: Iterable[Totals]) -> Totals:
    """Sum column by column: a sum of two makes a value for each step, which in a large tree is most of the time."""
    sums: Iterable[Any] = map(sum, zip(*map(_figures, totals), strict=True))
    return Totals(*sums)


def group_entries(entries: Iterable[Entry], key: Callable[[Entry], _K]) -> dict[_K, list[Entry]]:
    """Put entries of one key together, in the order in which they first come."""
    groups: dict[_K, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups


def merged(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Join entries that differ in nothing but their calls."""
    groups = group_entries(entries, lambda e: replace(e, record=replace(e.record, calls=0)))
    return tuple(
        replace(key, record=replace(key.record, calls=sum(e.record.calls for e in es))) for key, es in groups.items()
    )
