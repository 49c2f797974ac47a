"""A ranking of devices as points: the rate of each against its power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.devices.device_class import CLASSES, is_of_class
from profiler.report.scatter import Axis, Scatter

if TYPE_CHECKING:
    from profiler.projection.ranking import RankedDevice
    from profiler.report.rankings import RankingReport


def ranking_scatter(report: RankingReport) -> Scatter:
    """Return the devices as points: the rated power across, the largest rate up, and the rate that was asked."""
    rows = report.ranking.rows
    rate = "passes per second (estimate)"
    axes = (
        Axis("rated power", "plain", tuple(row.power_w for row in rows), "W", better=-1),
        Axis(rate, "plain", tuple(row.passes_per_s for row in rows), better=1),
        Axis("time of a pass (estimate)", "seconds", tuple(_value(row, "estimate_s") for row in rows), better=-1),
        Axis("time of a pass (bound)", "seconds", tuple(_value(row, "bound_s") for row in rows), better=-1),
        Axis("passes per joule (estimate)", "plain", tuple(row.passes_per_joule for row in rows), better=1),
        Axis("price", "plain", tuple(row.price for row in rows), better=-1),
    )
    return Scatter(
        tuple(row.device.id for row in rows),
        tuple(axis for axis in axes if any(value is not None for value in axis.values)),
        "rated power",
        rate,
        groups=tuple(_class(row) for row in rows),
        filled=tuple(row.holds for row in rows),
        line=None if report.fps is None else (rate, report.fps, f"{report.fps:g} passes/s"),
    )


def _value(row: RankedDevice, name: str) -> float:
    return float(getattr(row.projection, name).value)


def _class(row: RankedDevice) -> str:
    return next((name for name in CLASSES if is_of_class(row.device, name)), row.device.kind)
