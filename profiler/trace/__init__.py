"""Record a live model while it runs: which operators, on which shapes, for which module.

Nothing here knows what an operator costs.
"""

from typing import TYPE_CHECKING

from profiler.util.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from profiler.trace.inventory import ModelInventory, take_inventory
    from profiler.trace.session import Session
    from profiler.trace.trace import Trace

__all__ = ["ModelInventory", "Session", "Trace", "take_inventory"]

#: The module that defines each name. It imports torch, so it is imported on first access.
_DEFINED_IN = {
    "ModelInventory": "profiler.trace.inventory",
    "Session": "profiler.trace.session",
    "Trace": "profiler.trace.trace",
    "take_inventory": "profiler.trace.inventory",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _DEFINED_IN)
