"""From counts to a device: seconds, bytes, TOPS, memory, training days. Bound, estimate, measured: never mixed."""

from profiler.project.project import project, what_if
from profiler.project.shares import FixedShares, Shares
from profiler.project.timing import Measurement, measure

__all__ = ["FixedShares", "Measurement", "Shares", "measure", "project", "what_if"]
