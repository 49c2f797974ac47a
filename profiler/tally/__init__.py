"""Cost the records of a trace: the result is a ``Profile``, a value that can be saved, loaded, added and compared."""

from typing import TYPE_CHECKING

from profiler.tally.entry import Entry
from profiler.tally.figures import Totals
from profiler.tally.operator_tables import Operator, Uncounted
from profiler.tally.profile import Profile
from profiler.tally.tally import tally
from profiler.tally.tree import Module, Node
from profiler.util.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from profiler.tally.saved import load, save
else:  # pydantic builds the schema of saved profiles: a tenth of a second
    __getattr__, __dir__ = lazy_exports(__name__, {"load": "profiler.tally.saved", "save": "profiler.tally.saved"})

__all__ = ["Entry", "Module", "Node", "Operator", "Profile", "Totals", "Uncounted", "load", "save", "tally"]
