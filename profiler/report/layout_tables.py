"""The report on layouts: one row per mesh, fastest first, why the first one won, and what does not fit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import plain
from profiler.report.table_formats import csv_table
from profiler.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.report.tables import Side

#: The schema of the JSON of layouts.
SCHEMA = "profiler-layouts/1"
_COLUMNS: dict[str, Side] = {
    "mesh": "left", "blocks": "left", "micro": "right", "tokens/s": "right", "a device": "right", "MFU": "right",
    "memory": "right", "step": "right",
}  # fmt: skip
_MARKS = {"exact": "", "bound": "≤ ", "estimate": "≈ "}
_PARTS = {"compute_s": "computing", "exchange_s": "waiting for exchanges", "idle_s": "idle in the pipeline"}


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """A layout that fits."""

    mesh: str
    #: Whether the blocks are checkpointed.
    checkpoint: bool
    microbatches: int
    ranks: int
    #: Tokens (or samples) of a step of the whole world.
    tokens: int
    tokens_per_s: float
    mfu: float
    #: The peak of the fullest traced role, and which one that is.
    memory_bytes: int
    role: str
    #: ``exact``, ``bound`` (it is at most so much) or ``estimate``.
    memory_kind: str
    step_s: float
    #: No schedule is faster.
    bound_s: float
    #: What the estimate is spent on, in the slowest role.
    compute_s: float
    exchange_s: float
    idle_s: float


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A mesh that does not train the model, and why."""

    mesh: str
    checkpoint: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LayoutReport:
    """Everything that the report shows."""

    heading: str
    rows: Sequence[LayoutRow]
    dropped: Sequence[DroppedRow]
    #: How the figures were obtained, in sentences.
    method: str


def layouts_text(report: LayoutReport, most: int) -> str:
    """Return the report as text, with at most so many layouts."""
    parts = [plain(report.heading)]
    if report.rows:
        parts += [table(_COLUMNS, [_cells(row) for row in report.rows[:most]])]
        more = len(report.rows) - most
        parts += [f"{more} more layouts fit; --format csv has all of them."] if more > 0 else []
        parts += [_why(report.rows)]
    else:
        parts += ["No layout fits."]
    parts += [_dropped(report.dropped)] if report.dropped else []
    return "\n\n".join((*parts, report.method)) + "\n"


def layouts_csv(report: LayoutReport) -> str:
    """Return a line a layout that fits, with every digit."""
    columns = LayoutRow.__dataclass_fields__
    return csv_table(columns, [[getattr(row, name) for name in columns] for row in report.rows])


def layouts_json(report: LayoutReport) -> str:
    """Return all layouts, and those that were dropped, as JSON text."""
    document = {
        "schema": SCHEMA,
        "layouts": [asdict(row) for row in report.rows],
        "dropped": [asdict(row) for row in report.dropped],
        "method": report.method,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cells(row: LayoutRow) -> tuple[str, ...]:
    return (
        row.mesh,
        _blocks(row.checkpoint),
        str(row.microbatches),
        units.count(round(row.tokens_per_s)),
        units.count(round(row.tokens_per_s / row.ranks)),
        f"{row.mfu:.1%}",
        _MARKS[row.memory_kind] + units.size(row.memory_bytes),
        units.seconds(row.step_s),
    )


def _blocks(checkpoint: bool) -> str:
    return "recomputed" if checkpoint else "saved"


def _why(rows: Sequence[LayoutRow]) -> str:
    """Return why the first layout won: where its time goes, and what the second one spends more on."""
    first = rows[0]
    shares = ", ".join(f"{getattr(first, name) / first.step_s:.0%} {what}" for name, what in _PARTS.items())
    lines = [f"Why {first.mesh} ({_blocks(first.checkpoint)}) is first: of its step it is {shares}."]
    if len(rows) > 1:
        second = rows[1]
        loss = first.tokens_per_s / second.tokens_per_s - 1
        more = {name: getattr(second, name) / second.tokens - getattr(first, name) / first.tokens for name in _PARTS}
        most = max(more, key=lambda name: more[name])
        extra = more[most] * first.tokens
        lines.append(
            f"The second, {second.mesh} ({_blocks(second.checkpoint)}), is {loss:.1%} slower: for as many tokens "
            f"it takes {units.seconds(extra)} more {_PARTS[most]}."
        )
    return "\n".join(lines)


def _dropped(rows: Sequence[DroppedRow]) -> str:
    """Return the dropped meshes, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.reason, []).append(f"{row.mesh} ({_blocks(row.checkpoint)})")
    lines = [f"  {'; '.join(names)}: {plain(reason)}" for reason, names in reasons.items()]
    return "\n".join(["Dropped:", *lines])
