"""Cost the records of a trace: the result is a ``Profile``, a value that can be saved, loaded, added and compared."""

from profiler.tally.entry import Entry
from profiler.tally.figures import Totals
from profiler.tally.profile import Operator, Profile, Uncounted
from profiler.tally.saved import load, save
from profiler.tally.tally import tally
from profiler.tally.tree import Module, Node

__all__ = ["Entry", "Module", "Node", "Operator", "Profile", "Totals", "Uncounted", "load", "save", "tally"]
