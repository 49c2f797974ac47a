"""Project a profile onto a device: time, required TOPS, memory, and the cost of training.

Bounds, estimates and measurements are kept apart: each figure states which of them it is, and where it comes from.
"""

from profiler.projection.efficiency import Efficiency, FixedEfficiency
from profiler.projection.project import project, what_if

__all__ = ["Efficiency", "FixedEfficiency", "project", "what_if"]
