"""A ranking of devices as a page: a table that can be sorted, the devices as points, and reports of the first ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.escaping import plain, shorten
from profiler.report.page.overview import Cell, Overview
from profiler.report.ranking_scatter import ranking_scatter
from profiler.report.rankings import COLUMNS, RANKING_FORMATS, answer, cells, notes
from profiler.report.report import Report

if TYPE_CHECKING:
    from profiler.projection.ranking import RankedDevice
    from profiler.report.rankings import RankingReport
    from profiler.tally import Profile

#: How many devices have a tab of their own.
_TABS = 5
_LONGEST = 300


@RANKING_FORMATS.register("html")
def html(report: RankingReport) -> str:
    """Return a page with the table, the devices as points, and a tab each of the devices that matter most."""
    from profiler.report.page.render import render_page  # noqa: PLC0415 - jinja2 and plotly are for this format alone

    ranking = report.ranking
    shown = _shown(report) if report.profile is not None else []
    overview = Overview(
        "Devices",
        answer(report),
        tuple(COLUMNS),
        tuple(_row(row, report) for row in ranking.rows),
        ranking_scatter(report) if len(ranking.rows) > 1 else None,
        tuple(shown.index(row) if row in shown else None for row in ranking.rows),
        tuple(notes(ranking)),
    )
    reports = [_report(row, report, report.profile) for row in shown if report.profile is not None]
    return render_page(reports, f"Devices for {_target(report)}", overview=overview)


def _shown(report: RankingReport) -> list[RankedDevice]:
    """Return the devices with a tab: of those that hold the rate the thriftiest and the cheapest, and the fastest."""
    ranking = report.ranking
    wanted = [row for row in (ranking.thriftiest, ranking.cheapest) if row is not None]
    for row in ranking.rows:
        if len(wanted) < _TABS and row not in wanted:
            wanted.append(row)
    return [row for row in ranking.rows if row in wanted]


def _report(row: RankedDevice, report: RankingReport, profile: Profile) -> Report:
    from profiler.projection import project  # noqa: PLC0415 - help needs the names of the formats alone

    projection = project(profile, row.device, precision=report.precision, mode=report.mode, fps=report.fps)
    return Report(replace(profile, projection=projection), row.device.id, 0)


def _row(row: RankedDevice, report: RankingReport) -> tuple[Cell, ...]:
    """Return the cells of a device, each with the number that it is sorted by."""
    numbers = {
        "estimate": _value(row, "estimate_s"),
        "range": _value(row, "estimate_high_s") if row.projection.estimate_high_s else None,
        "passes/s": row.passes_per_s,
        "W": row.power_w,
        "passes/J": row.passes_per_joule,
    }
    is_best = row is report.ranking.thriftiest
    texts = zip(COLUMNS, cells(row, report.ranking), strict=True)
    return tuple(Cell(text, numbers.get(name), is_best and name == "W") for name, text in texts)


def _value(row: RankedDevice, name: str) -> float:
    return float(getattr(row.projection, name).value)


def _target(report: RankingReport) -> str:
    return shorten(plain(report.target), _LONGEST)
