"""How a model runs on a device. The names are in ``values``, where a command's options read them without this room."""

from profiler.values.modes import MODES, UNMERGED, Mode, Step

__all__ = ["MODES", "UNMERGED", "Mode", "Step"]
