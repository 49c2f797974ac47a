"""The table of communication: what a rank exchanges, summed over the modules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler import units
from profiler.tally.communication import merge_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.values.communication import Communication

#: The headings; the last two are bytes that a rank handles, and bytes that it sends to others.
COLUMNS = ("communication", "axis", "ranks", "dtype", "phase", "calls", "payload", "wire")


def by_kind(rows: Sequence[Communication]) -> list[Communication]:
    """Return the rows summed over modules, and over groups of the same axis and size."""
    groups: dict[Communication, list[Communication]] = {}
    for row in rows:
        key = replace(row, module="", ranks=(), calls=0, payload_bytes=0, wire_bytes=0)
        groups.setdefault(key, []).append(row)
    return [merge_rows(group) for group in groups.values()]


def cells(rows: Sequence[Communication]) -> list[tuple[str, ...]]:
    """Return the cells of the table."""
    return [
        (
            row.kind,
            row.axis,
            str(row.group_size),
            row.dtype,
            row.phase,
            str(row.calls),
            units.size(row.payload_bytes),
            units.size(row.wire_bytes),
        )
        for row in by_kind(rows)
    ]
