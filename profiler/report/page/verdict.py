"""The verdict: what a profile comes to, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler import units

if TYPE_CHECKING:
    from profiler.report.report import Report
    from profiler.values.projection import Projection


def verdict(report: Report) -> str:
    """Return the work, where most of it is, the memory and the time, in one sentence."""
    totals = report.profile.totals
    run = "One training step" if report.is_step else "One forward pass"
    work = f"{report.at_least}{units.count(totals.macs, 'MAC')} ({report.at_least}{units.count(totals.flops, 'FLOP')})"
    sentence = f"{run} takes {work}{_mostly(report)}"
    if totals.peak_memory.get("total"):
        sentence += f", and holds {units.size(totals.peak_memory['total'])} at its peak"
    if report.profile.projection is not None:
        sentence += "; " + _time(report.profile.projection)
    return sentence + "."


def _mostly(report: Report) -> str:
    """Return the operator with the most FLOPs, and its share."""
    top, whole = next(iter(report.operators()), None), report.profile.totals.flops
    if top is None or not whole:
        return ""
    return f", {units.share(top.totals.flops, whole)} % of the FLOPs in {top.operator}"


def _time(projection: Projection) -> str:
    estimate, bound = (units.seconds(float(f.value)) for f in (projection.estimate_s, projection.bound_s))
    low, high = projection.estimate_low_s, projection.estimate_high_s
    if low is not None and high is not None:
        estimate += f" ({units.seconds(float(low.value))} to {units.seconds(float(high.value))})"
    fits = f", but does not fit: {projection.shortfall}" if projection.shortfall else ""
    device = f"{projection.device.value} in {projection.precision.value}"
    return f"on {device} an estimated {estimate}, never less than {bound}, limited by {projection.limit.value}{fits}"
