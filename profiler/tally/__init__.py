"""Records × formulas → ``Profile``: an inert value that can be saved, loaded, added and compared."""

from profiler.tally.profile import Entry, Module, Node, Operator, Profile, Totals, Uncounted
from profiler.tally.saved import load, save
from profiler.tally.tally import tally

__all__ = ["Entry", "Module", "Node", "Operator", "Profile", "Totals", "Uncounted", "load", "save", "tally"]
