"""Record a live model while it runs: which operators, on which shapes, for which module.

Nothing here knows what an operator costs.
"""

from profiler.trace.inventory import ModelInventory, take_inventory
from profiler.trace.session import Session, Trace

__all__ = ["ModelInventory", "Session", "Trace", "take_inventory"]
