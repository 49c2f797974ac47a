"""Watch a live module run, and keep what was seen: which operator, on which shapes, for which module.

Nothing here knows what an operator costs.
"""

from profiler.trace.census import Census, take_census
from profiler.trace.session import Session, Trace

__all__ = ["Census", "Session", "Trace", "take_census"]
