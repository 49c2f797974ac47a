"""From counts to a device: seconds, bytes, TOPS, memory, training days. Bound, estimate, measured: never mixed."""

from profiler.projection.efficiency import Efficiency, FixedEfficiency
from profiler.projection.project import project, what_if

__all__ = ["Efficiency", "FixedEfficiency", "project", "what_if"]
