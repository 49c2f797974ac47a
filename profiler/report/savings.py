"""What changes of a training step save at its peak, as rows and lines of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler import units
from profiler.report.lines import Line

if TYPE_CHECKING:
    from profiler.values.memory import MemorySaving

#: The columns of what would save memory.
SAVINGS = ("would save memory", "peak", "saves", "% of peak", "FLOPs")


def saving_row(saving: MemorySaving, after: int) -> tuple[str, ...]:
    """Return the row of a change that a step could have, whose peak is *after* bytes: the cells of ``SAVINGS``."""
    saved = saving.before - after
    share = units.share(abs(saved), saving.before)
    return (
        saving.change,
        units.size(after),
        units.size(saved) if saved >= 0 else f"−{units.size(-saved)}",
        share if saved >= 0 else f"−{share}",
        _flops_change(saving),
    )


def applied_line(saving: MemorySaving) -> Line:
    """Return what a change that the step has saves, beside what it costs."""
    if saving.after is None:
        return Line(saving.change, "", f"its saving is not known: {saving.why}")
    saved = saving.before - saving.after
    amount = f"saves {units.size(saved)}" if saved >= 0 else f"costs {units.size(-saved)}"
    said = f"{amount} of {units.size(saving.before)}, FLOPs {_flops_change(saving)}"
    return Line(saving.change, f"{'−' if saved < 0 else ''}{units.exact(abs(saved))}", said)


def _flops_change(saving: MemorySaving) -> str:
    """Return by how much a change makes a step cheaper or dearer."""
    change = saving.flops_after - saving.flops_before
    if not change:
        return "="
    return f"{'+' if change > 0 else '−'}{units.share(abs(change), saving.flops_before)} %"
