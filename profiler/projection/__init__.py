"""Project a profile onto a device: time, required TOPS, memory, and the cost of training.

Bounds, estimates and measurements are kept apart: each figure states which of them it is, and where it comes from.
"""

from profiler.projection.project import project
from profiler.projection.time_model import TimeModel
from profiler.projection.time_table import TimeTable

__all__ = ["TimeModel", "TimeTable", "project"]
