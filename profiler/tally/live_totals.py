"""The totals of a run, straight from the calls of its operators: no record, entry or tree is made of each."""

from __future__ import annotations

from operator import attrgetter, mul
from typing import TYPE_CHECKING

from profiler.tally.entry import UNCOUNTED
from profiler.tally.figures import HELD, WORK, Totals
from profiler.tally.tally import cost_record

if TYPE_CHECKING:
    from profiler.trace.trace import CallCounts


def live_totals(counts: CallCounts) -> Totals:
    """Return the totals that the profile of the same trace has.

    Args:
        counts: The distinct calls, whatever module made them, with the parameters and the peak of memory.
    """
    entries = [cost_record(record) for record in counts.records]
    calls = [entry.record.calls for entry in entries]
    work = {name: sum(map(mul, calls, map(attrgetter(name), entries))) for name in WORK}
    held = {name: sum(map(attrgetter(name), counts.inventory.modules)) for name in HELD}
    return Totals(
        **work,
        **held,
        uncounted=sum(entry.record.calls for entry in entries if entry.kind == UNCOUNTED),
        peak_memory=dict(counts.peak.bytes),
        global_params=counts.inventory.global_params,
    )
