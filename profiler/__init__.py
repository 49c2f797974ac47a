"""Count what a live PyTorch model really does, operator by operator.

Example:
    >>> import torch, profiler
    >>> model = torch.nn.Linear(20, 30)
    >>> with profiler.profile(model) as p:
    ...     _ = model(torch.zeros(4, 20))
    >>> p.totals.macs, p.totals.params, p.uncounted
    (2400, 630, ())
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.api import count, profile
    from profiler.formulas import formula
    from profiler.project import measure
    from profiler.records import Cost, Shape, TensorSpec
    from profiler.tally import Profile, load
    from profiler.training import count_step

__all__ = ["Cost", "Profile", "Shape", "TensorSpec", "count", "count_step", "formula", "load", "measure", "profile"]

#: Where each name comes from. It is imported when it is first asked for, since torch takes seconds: pytest imports
#: this package in every session of an environment that has it, to find the plugin.
_HOMES = {
    "Cost": "profiler.records", "Profile": "profiler.tally", "Shape": "profiler.records",
    "TensorSpec": "profiler.records", "count": "profiler.api", "count_step": "profiler.training",
    "formula": "profiler.formulas", "load": "profiler.tally", "measure": "profiler.project", "profile": "profiler.api",
}  # fmt: skip

#: What is used as in ``profiler.memory.training(…)``, without an import of its own.
_ROOMS = ("compat", "memory")

if not TYPE_CHECKING:  # a type checker sees the imports above, and refuses any other name

    def __getattr__(name: str) -> object:
        """Import a name from its home."""
        if name in _ROOMS:
            return import_module(f"profiler.{name}")
        if name not in _HOMES:
            msg = f"module 'profiler' has no attribute {name!r}"
            raise AttributeError(msg)
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        """List the names with those not imported yet."""
        return sorted({*globals(), *_HOMES, *_ROOMS})
