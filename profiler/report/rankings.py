"""A ranking of devices as text, Markdown, CSV and JSON; ``ranking_formats`` draws it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.escaping import csv_cell
from profiler.escaping import markdown as markdown_text
from profiler.report.registry import Formats
from profiler.report.tables import table

if TYPE_CHECKING:
    from profiler.projection.ranking import RankedDevice, Ranking
    from profiler.report.tables import Side
    from profiler.tally import Profile
    from profiler.values.modes import Mode


@dataclass(frozen=True, slots=True)
class RankingReport:
    """A ranking, and what was asked."""

    ranking: Ranking
    target: str
    precision: str | None
    fps: float | None
    #: How the model runs, and its profile, for the page; None if they are not known.
    mode: Mode | None = None
    profile: Profile | None = None


#: Devices without the precision are named up to this number: with ``--on`` they are what a user asked for.
_MAX_NAMES = 20
#: Ten columns do not fit 80.
_WIDTH = 120
RANKING_FORMATS = Formats[RankingReport]("profiler.report.ranking_formats")
#: The columns of the table, with the side on which each is aligned.
COLUMNS: dict[str, Side] = {
    "device": "left", "mode": "left", "estimate": "right", "range": "right", "passes/s": "right", "holds": "left",
    "limit": "left", "W": "right", "passes/J": "right", "confidence": "left",
}  # fmt: skip


@RANKING_FORMATS.register("text")
def to_text(report: RankingReport) -> str:
    """Write the answer, and a row a device, those with the highest rate first."""
    rows = [cells(row, report.ranking) for row in report.ranking.rows]
    return "\n\n".join([answer(report), table(COLUMNS, rows, width=_WIDTH), *notes(report.ranking)]) + "\n"


@RANKING_FORMATS.register("markdown")
def to_markdown(report: RankingReport) -> str:
    """Write the same as Markdown."""
    marks = ["---:" if side == "right" else "---" for side in COLUMNS.values()]
    rows = [list(COLUMNS), marks, *(cells(row, report.ranking) for row in report.ranking.rows)]
    lines = [f"| {' | '.join(row if row is marks else map(markdown_text, row))} |" for row in rows]
    return "\n\n".join([markdown_text(answer(report)), "\n".join(lines), *notes(report.ranking)]) + "\n"


@RANKING_FORMATS.register("csv")
def to_csv(report: RankingReport) -> str:
    """Write a line a device, with every digit."""
    out = io.StringIO()
    rows = [_values(row) for row in report.ranking.rows]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows([csv_cell(v) if isinstance(v, str) else v for v in row.values()] for row in rows)
    return out.getvalue()


@RANKING_FORMATS.register("json")
def to_json(report: RankingReport) -> str:
    """Write every figure as JSON, with the devices that were left out."""
    ranking = report.ranking
    document = {
        "schema": "profiler-ranking/1",
        "target": report.target,
        "precision": report.precision,
        "fps": report.fps,
        "devices": [_values(row) for row in ranking.rows],
        "least_power": ranking.thriftiest.device.id if ranking.thriftiest else None,
        "least_price": ranking.cheapest.device.id if ranking.cheapest else None,
        "without_precision": list(ranking.lacking),
        "without_bandwidth": list(ranking.unknown),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def answer(report: RankingReport) -> str:
    """Return which device holds the rate at the least power, in a sentence or two."""
    ranking = report.ranking
    heading = f"{report.target}{f' in {report.precision}' if report.precision else ''}"
    if report.fps is None:
        return f"{heading}: {len(ranking.rows)} device{'s' * (len(ranking.rows) != 1)}, the fastest first."
    holding = sum(row.holds for row in ranking.rows)
    parts = [f"{heading} at {report.fps:g} passes/s: {holding} of {len(ranking.rows)} devices hold the rate."]
    if (best := ranking.thriftiest) is not None:
        parts.append(f"Least power: {best.device.id}, {best.power_w:g} W.")
    if (best := ranking.cheapest) is not None:
        parts.append(f"Lowest price: {best.device.id}, {best.price:g}.")
    return " ".join(parts)


def notes(ranking: Ranking) -> list[str]:
    """Return what the marks mean, and which devices were left out."""
    lines = ["* the least rated power that holds the rate, at the worst of the estimate's range"]
    if any(row.projection.notes for row in ranking.rows):
        lines.append("a mode in brackets has no measurements of its own: see `--on` for the reason")
    if ranking.lacking:
        is_short = len(ranking.lacking) <= _MAX_NAMES
        lacking = ", ".join(ranking.lacking) if is_short else f"{len(ranking.lacking)} devices"
        lines.append(f"without the precision, so no estimate: {lacking}")
    if ranking.unknown:
        lines.append(f"bandwidth unknown, so no estimate: {', '.join(ranking.unknown)}")
    return lines


def cells(row: RankedDevice, ranking: Ranking) -> list[str]:
    """Return the row of a device, a cell a column."""
    projection = row.projection
    low, high = projection.estimate_low_s, projection.estimate_high_s
    mode = str(projection.mode.value) if projection.mode else ""
    holds = "" if projection.fps is None else "yes" if row.holds else "perhaps" if row.may_hold else "no"
    return [
        row.device.id + (" *" if row is ranking.thriftiest else ""),
        mode if row.is_validated else f"({mode})",
        units.seconds(float(projection.estimate_s.value)),
        f"{units.seconds(float(low.value))} to {units.seconds(float(high.value))}" if low and high else "",
        units.rounded(row.passes_per_s),
        holds if row.fits_memory else "no memory",
        str(projection.limit.value),
        "" if row.power_w is None else f"{row.power_w:g}",
        "" if row.passes_per_joule is None else units.rounded(row.passes_per_joule),
        row.device.confidence,
    ]


_FIELDS = (
    "device", "class", "mode", "estimate_s", "estimate_low_s", "estimate_high_s", "bound_s", "passes_per_s", "fits",
    "holds", "limit", "power_w", "passes_per_j", "price", "confidence", "notes",
)  # fmt: skip


def _values(row: RankedDevice) -> dict[str, Any]:
    projection = row.projection
    low, high = projection.estimate_low_s, projection.estimate_high_s
    values = (
        row.device.id,
        row.device.kind,
        projection.mode.value if projection.mode else None,
        projection.estimate_s.value,
        low.value if low else None,
        high.value if high else None,
        projection.bound_s.value,
        row.passes_per_s,
        row.fits_memory,
        row.holds,
        projection.limit.value,
        row.power_w,
        row.passes_per_joule,
        row.price,
        row.device.confidence,
        "; ".join(projection.notes),
    )
    return dict(zip(_FIELDS, values, strict=True))
