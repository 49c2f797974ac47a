"""The report on a world: one row per role, what each exchanges, and what each holds at its peak."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.escaping import markdown as markdown_text
from profiler.escaping import plain
from profiler.report import communication_tables
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import table
from profiler.tally.figures import FIGURES
from profiler.tally.saved import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.report.tables import Side
    from profiler.tally import Profile

#: The schema of the JSON of a world.
SCHEMA = "profiler-world/1"
_ROLES: dict[str, Side] = {
    "role": "left", "ranks": "right", "traced": "right", "params": "right", "MACs": "right", "FLOPs": "right",
    "peak memory": "right", "sent": "right",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role, the ranks that have it, the one that was traced, and its profile."""

    name: str
    ranks: tuple[int, ...]
    rank: int
    profile: Profile


@dataclass(frozen=True, slots=True)
class WorldTimeRow:
    """The time of a step of the slowest role on a device, and what follows from it."""

    device: str
    #: No schedule is faster.
    bound_s: float
    #: Everything overlaps with a computation at the fast end of its range.
    low_s: float
    estimate_s: float
    #: Nothing overlaps, and the computation is at the slow end.
    high_s: float
    #: The idle time of the pipeline, relative to its busy time.
    bubble: float
    #: Tokens (or samples) of the whole world.
    tokens_per_s: float
    ranks: int
    mfu: float
    days: float | None


def world_text(heading: str, rows: Sequence[RoleRow], time: WorldTimeRow | None = None) -> str:
    """Return the report as text, at most eighty columns wide."""
    parts = [plain(heading), table(_ROLES, [_cells(row) for row in rows]), _whole(rows)]
    parts += [_time(time)] if time is not None else []
    for row in rows:
        parts += [f"{row.name}: rank {row.rank} at its peak", _memory(row.profile)]
        parts += [_communication(row.profile)] if row.profile.communication else []
    parts += [_uncounted(rows)]
    return "\n\n".join(parts) + "\n"


def world_markdown(heading: str, rows: Sequence[RoleRow], time: WorldTimeRow | None = None) -> str:
    """Return the roles as Markdown."""
    times = [f"- {markdown_text(line.strip())}" for line in _time(time).splitlines()] if time is not None else []
    parts = (markdown_text(heading), markdown_table(_ROLES, map(_cells, rows)), _whole(rows), "\n".join(times))
    return page(*parts, markdown_text(_uncounted(rows)))


def world_csv(rows: Sequence[RoleRow]) -> str:
    """Return a line a role, with every digit."""
    columns = ("role", "ranks", "traced", *FIGURES, "peak_memory_bytes", "sent_bytes")
    lines = [
        (
            row.name,
            len(row.ranks),
            row.rank,
            *(getattr(row.profile.totals, name) for name in FIGURES),
            row.profile.totals.peak_memory.get("total", 0),
            sum(c.wire_bytes for c in row.profile.communication),
        )
        for row in rows
    ]
    return csv_table(columns, lines)


def world_json(mesh: str, rows: Sequence[RoleRow], time: WorldTimeRow | None = None) -> str:
    """Return the roles with their saved profiles as JSON text."""
    roles: list[dict[str, Any]] = [
        {"role": row.name, "rank": row.rank, "ranks": list(row.ranks), "profile": json.loads(to_json(row.profile))}
        for row in rows
    ]
    document: dict[str, Any] = {"schema": SCHEMA, "mesh": mesh, "roles": roles}
    document |= {} if time is None else {"projection": asdict(time)}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cells(row: RoleRow) -> tuple[str, ...]:
    totals = row.profile.totals
    return (
        row.name,
        str(len(row.ranks)),
        str(row.rank),
        units.count(totals.params),
        units.count(totals.macs),
        ("≥ " if totals.uncounted else "") + units.count(totals.flops),
        units.size(totals.peak_memory.get("total", 0)),
        units.size(sum(c.wire_bytes for c in row.profile.communication)),
    )


def _whole(rows: Sequence[RoleRow]) -> str:
    ranks = sum(len(row.ranks) for row in rows)
    macs = sum(len(row.ranks) * row.profile.totals.macs for row in rows)
    flops = sum(len(row.ranks) * row.profile.totals.flops for row in rows)
    return f"all {ranks} ranks: {units.count(macs, 'MAC')}, {units.count(flops, 'FLOP')}"


def _time(time: WorldTimeRow) -> str:
    low, expected, high = map(units.seconds, (time.low_s, time.estimate_s, time.high_s))
    rate, each = (units.count(round(n)) for n in (time.tokens_per_s, time.tokens_per_s / time.ranks))
    lines = [
        f"on {time.device}:",
        f"  step at least {units.seconds(time.bound_s)} (bound)",
        f"  step {expected} (estimate): {low} at best, {high} at worst",
        f"  {rate} tokens/s, {each} a device; MFU {time.mfu:.1%}",
    ]
    lines += [f"  the pipeline idles for {time.bubble:.1%} of its busy time"] if time.bubble else []
    lines += [f"  {time.days:.1f} days"] if time.days is not None else []
    return "\n".join(lines)


def _memory(profile: Profile) -> str:
    peak = profile.totals.peak_memory
    parts = [f"{name.replace('_', ' ')} {units.size(size)}" for name, size in peak.items() if size and name != "total"]
    return "  " + "\n  ".join(parts)


def _communication(profile: Profile) -> str:
    columns: dict[str, Side] = {name: "left" if i in {0, 1, 3, 4} else "right" for i, name in _numbered()}
    return table(columns, communication_tables.cells(profile.communication))


def _numbered() -> list[tuple[int, str]]:
    return list(enumerate(communication_tables.COLUMNS))


def _uncounted(rows: Sequence[RoleRow]) -> str:
    names = sorted({row.operator for role in rows for row in role.profile.uncounted})
    return (
        f"uncounted: {', '.join(names)}; the totals are lower bounds"
        if names
        else "Every operator is counted, or free."
    )
