"""A record with its cost, and groups of such entries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from operator import attrgetter, mul
from typing import TYPE_CHECKING, TypeVar

from profiler.tally.figures import WORK, Totals, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from profiler.values.records import OpRecord

_K = TypeVar("_K")
UNCOUNTED = "uncounted"


@dataclass(frozen=True, slots=True)
class Entry(Work):
    """A record and what **one** of its calls costs."""

    record: OpRecord
    #: The kind of rule that counted it (see ``RuleKind``), or "uncounted".
    kind: str
    #: The dtype that the operator computes in.
    dtype: str

    def of(self, record: OpRecord) -> Entry:
        """Return another record of calls that cost the same."""
        return Entry(
            record=record,
            kind=self.kind,
            dtype=self.dtype,
            macs=self.macs,
            masked_macs=self.masked_macs,
            other_flops=self.other_flops,
            transcendentals=self.transcendentals,
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
        )

    @property
    def totals(self) -> Totals:
        """The work of all calls of the record."""
        n = self.record.calls
        return Totals(**{name: n * getattr(self, name) for name in WORK}, uncounted=n * (self.kind == UNCOUNTED))


def sum_entries(entries: Sequence[Entry]) -> Totals:
    """Sum the work of all calls of *entries*, without a `Totals` for each."""
    calls = [entry.record.calls for entry in entries]
    work = {name: sum(map(mul, calls, map(attrgetter(name), entries))) for name in WORK}
    return Totals(**work, uncounted=sum(entry.record.calls for entry in entries if entry.kind == UNCOUNTED))


def group_entries(entries: Iterable[Entry], key: Callable[[Entry], _K]) -> dict[_K, list[Entry]]:
    """Group entries by *key*, in the order in which each key first occurs."""
    groups: dict[_K, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups


def merge_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Merge entries that differ only in their calls."""
    groups = group_entries(entries, lambda e: replace(e, record=replace(e.record, calls=0)))
    return tuple(
        replace(key, record=replace(key.record, calls=sum(e.record.calls for e in group)))
        for key, group in groups.items()
    )
