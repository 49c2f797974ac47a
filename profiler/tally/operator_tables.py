"""The operators of a profile: by dtype, those that no rule counts, and those counted at more than ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.tally.entry import UNCOUNTED, Entry, group_entries, sum_entries
from profiler.values.records import LENGTHS, UNSEEN_WORK, Shape, TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.tally.figures import Totals


@dataclass(frozen=True, slots=True)
class Operator:
    """A row of the table of operators: all calls of an operator in one dtype."""

    operator: str
    dtype: str
    calls: int
    totals: Totals


@dataclass(frozen=True, slots=True)
class Uncounted:
    """An operator that no rule counts, and how often it was called.

    For the work of a kernel that is no operator, the name is "unseen work", and the module and the shape of each tensor
    that it made are told.
    """

    operator: str
    calls: int
    #: The path of the module in which a kernel ran that is no operator; None for an operator.
    module: str | None = None
    #: The shape of what such a kernel made.
    shapes: tuple[Shape, ...] = ()


def operator_table(entries: Iterable[Entry]) -> tuple[Operator, ...]:
    """Return the operators by dtype, most FLOPs first; free operators come last."""
    groups = group_entries(entries, lambda e: (e.record.packet, e.dtype))
    rows = [
        Operator(name, dtype, sum(e.record.calls for e in es), sum_entries(es)) for (name, dtype), es in groups.items()
    ]
    return tuple(sorted(rows, key=lambda r: (-r.totals.flops, -r.totals.bytes_read, r.operator, r.dtype)))


def uncounted_table(entries: Iterable[Entry]) -> tuple[Uncounted, ...]:
    """Return the operators that no rule counts, most called first."""
    groups = group_entries((e for e in entries if e.kind == UNCOUNTED), _uncounted_key)
    rows = [Uncounted(key[0], sum(e.record.calls for e in es), key[1], key[2]) for key, es in groups.items()]
    return tuple(sorted(rows, key=lambda r: (-r.calls, r.operator, r.module or "", r.shapes)))


def upper_bound_table(entries: Iterable[Entry]) -> tuple[Uncounted, ...]:
    """Return the operators counted at more than ran: attention on packed sequences whose lengths have no values."""
    groups = group_entries((e for e in entries if _has_unknown_lengths(e)), lambda e: e.record.operator)
    rows = [Uncounted(name, sum(e.record.calls for e in es)) for name, es in groups.items()]
    return tuple(sorted(rows, key=lambda r: (-r.calls, r.operator)))


def _has_unknown_lengths(entry: Entry) -> bool:
    """Return whether an attention call was counted without the lengths of its sequences, which it was given."""
    return entry.macs > 0 and any(
        name in LENGTHS and isinstance(value, TensorSpec) and value.values is None
        for name, value in entry.record.arguments
    )


def _uncounted_key(entry: Entry) -> tuple[str, str | None, tuple[Shape, ...]]:
    """Return the operator; of the work of a kernel that is none, its module and the shapes of what it made as well."""
    record = entry.record
    if record.operator != UNSEEN_WORK:
        return record.operator, None, ()
    return record.operator, record.module, tuple(spec.shape for spec in tensors(record.results))
