"""The table of figures: every number that a profile holds of a piece of work, with its unit.

A new figure is one field of ``Work`` (work of an operator call) or of ``Totals`` (what a module or a run adds to it).
Totals, saved profiles, the JSON Schema, CSV columns, budgets and diffs take their names and units from these fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.memory import Table


def _figure(unit: str, description: str | None = None) -> Any:
    """Declare an integer figure; the description stands in the JSON Schema."""
    return field(default=0, metadata={"unit": unit, "description": description})


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of one operator call, or a sum of such work."""

    macs: int = _figure("MAC")
    #: MACs left by the attention mask; equal to ``macs`` where there is no mask.
    masked_macs: int = _figure("MAC")
    other_flops: int = _figure("FLOP")
    transcendentals: int = _figure("op")
    bytes_read: int = _figure("byte")
    bytes_written: int = _figure("byte")

    @property
    def flops(self) -> int:
        """FLOPs: two for each MAC, and the other FLOPs."""
        return 2 * self.macs + self.other_flops


#: The figures of an operator call, in the order of the fields.
WORK = tuple(f.name for f in fields(Work))


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Work):
    """The costs of a run, of a phase, of an operator or of a module: summed work, and what the modules hold.

    Example:
        >>> Totals(macs=10, other_flops=1) + Totals(macs=5)
        Totals(macs=15, masked_macs=0, other_flops=1, transcendentals=0, bytes_read=0, bytes_written=0, params=0, \
trainable_params=0, buffers=0, uncounted=0, peak_memory={}, global_params=None)
    """

    params: int = _figure("element")
    trainable_params: int = _figure("element")
    buffers: int = _figure("element")
    #: Calls of operators that no rule counts: with any, the other figures are lower bounds.
    uncounted: int = _figure("call", "calls of operators that no rule counts; with any, the sums are lower bounds")
    #: Live bytes at the peak by category, with their "total"; of the whole run and of each phase, empty elsewhere.
    peak_memory: Table = field(default_factory=dict)
    #: Parameters of the whole model, of which ``params`` are this rank's; of the whole run only.
    global_params: int | None = None

    def __add__(self, other: Totals) -> Totals:
        """Sum figure by figure; the peak of memory is no sum, so that the result has none."""
        return sum_totals((self, other))


_SUMMED = tuple(f.name for f in fields(Totals) if f.metadata)
_read = attrgetter(*_SUMMED)
#: The figures of elements that modules hold.
HELD = tuple(f.name for f in fields(Totals) if f.metadata.get("unit") == "element")
#: Every integer figure, derived ones included, in the order in which tables show them.
FIGURES = tuple(name for f in _SUMMED for name in ((f, "flops") if f == "transcendentals" else (f,)))
#: The unit of each figure.
UNITS: dict[str, str] = {f.name: f.metadata["unit"] for f in fields(Totals) if f.metadata} | {"flops": "FLOP"}
#: What the JSON Schema says of each figure that needs words.
DESCRIPTIONS: dict[str, str] = {
    f.name: f.metadata["description"] for f in fields(Totals) if f.metadata.get("description")
}


def sum_totals(totals: Iterable[Totals]) -> Totals:
    """Sum figure by figure, in one pass: adding two at a time would make a value for each step of a large tree."""
    sums: Iterable[Any] = map(sum, zip(*map(_read, totals), strict=True))
    return Totals(**dict(zip(_SUMMED, sums, strict=False)))  # of no totals there are no sums
