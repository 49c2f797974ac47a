"""What the template of the page writes without a script: the verdict, the totals and the other small tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.escaping import plain, shorten
from profiler.report import projection_tables
from profiler.report.page.finding_views import claim_views, peer_views
from profiler.report.page.verdict import verdict

if TYPE_CHECKING:
    from profiler.report.report import Report

_LONGEST = 300


#: The columns of the table of what changed between two reports.
CHANGES = ("module", "MACs", "FLOPs", "bytes", "parameters")


@dataclass(frozen=True, slots=True)
class Headline:
    """A large number at the top of the page."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """A phase of the run, with its share of the FLOPs in percent."""

    name: str
    macs: str
    flops: str
    share: str
    bytes: str
    peak: str


def context(report: Report) -> dict[str, Any]:
    """Return the values of the template for one report."""
    profile = report.profile
    return {
        "title": _short(report.title),
        "subtitle": replace(report, title=profile.model).heading,
        "verdict": verdict(report),
        "notes": [_short(note) for note in profile.notes],
        "is_step": report.is_step,
        "headlines": headlines(report),
        "totals": [*report.totals(), *report.memory(), *(report.step() if report.is_step else ())],
        "uncounted": [(_short(name), calls) for name, calls in report.uncounted()],
        "hints": report.hints(),
        "has_memory": profile.memory is not None and bool(profile.memory.timeline),
        "projection": _projection(report),
        "phases": phases(report),
        "peers": (peers := peer_views(profile.findings)),
        "opened": next((i for i, peer in enumerate(peers) if peer["steps"]), None),
        "claims": claim_views(profile.findings),
        "versions": [(_short(name), _short(version)) for name, version in profile.versions],
        "convention": profile.convention,
        "command": _short(report.command),
    }


def headlines(report: Report) -> list[Headline]:
    """Return the numbers that a reader looks for first."""
    totals, projection = report.profile.totals, report.profile.projection
    found = [
        Headline("MACs", report.at_least + units.count(totals.macs)),
        Headline("FLOPs", report.at_least + units.count(totals.flops), "2·MACs + other"),
        Headline("parameters", units.count(totals.params)),
    ]
    if totals.peak_memory.get("total"):
        found.append(Headline("peak memory", units.size(totals.peak_memory["total"])))
    if projection is not None:
        bound = units.seconds(float(projection.bound_s.value))
        estimate = units.seconds(float(projection.estimate_s.value))
        found.append(Headline(f"on {projection.device.value}", estimate, f"estimate; bound {bound}"))
    return found


def phases(report: Report) -> list[PhaseRow]:
    """Return the phases that ran."""
    whole = report.profile.totals.flops
    return [
        PhaseRow(
            phase,
            report.at_least + units.count(totals.macs),
            report.at_least + units.count(totals.flops),
            units.share(totals.flops, whole),
            units.size(totals.bytes_read + totals.bytes_written),
            units.size(totals.peak_memory.get("total", 0)),
        )
        for phase, totals in report.phases()
    ]


def _projection(report: Report) -> dict[str, Any] | None:
    projection = report.profile.projection
    if projection is None:
        return None
    return {
        "device": _short(str(projection.device.value)),
        "shortfall": projection.shortfall,
        "figures": projection_tables.figure_rows(projection),
        "notes": projection.notes,
        "has_operators": bool(projection.operators),
    }


def _short(text: str) -> str:
    return shorten(plain(text), _LONGEST)
