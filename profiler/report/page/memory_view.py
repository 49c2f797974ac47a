"""The timeline of live memory, as columns for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.escaping import plain, shorten
from profiler.values.memory import CATEGORIES

if TYPE_CHECKING:
    from profiler.values.memory import Memory, Moment

_LONGEST = 300


def memory_view(memory: Memory | None) -> dict[str, Any] | None:
    """Return the moments with the bytes of each category that occurs, and the peak; None without a timeline."""
    if memory is None or not memory.timeline:
        return None
    moments = sorted({m.at: m for m in (*memory.timeline, memory.peak)}.values(), key=lambda m: m.at)
    categories = [name for name in CATEGORIES if any(m.bytes.get(name) for m in moments)]
    return {
        "at": [m.at for m in moments],
        "phase": [m.phase for m in moments],
        "where": [_where(m) for m in moments],
        "bytes": {name: [m.bytes.get(name, 0) for m in moments] for name in categories},
        "peak": {"at": memory.peak.at, "bytes": memory.peak.total, "where": _where(memory.peak)},
    }


def _where(moment: Moment) -> tuple[str, str]:
    """Return the module and the operator of a moment."""
    return shorten(plain(moment.module), _LONGEST), shorten(plain(moment.operator), _LONGEST)
