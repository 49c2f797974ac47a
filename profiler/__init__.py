"""Count what a live PyTorch model costs, operator by operator: MACs, FLOPs, bytes, parameters and peak memory.

* `profile` counts whatever runs in a ``with`` block.
* `count` runs and counts one forward pass, `count_step` one training step.
* `project` projects a profile onto a device.
* `compare` shows several models in one table.
* `world` counts the ranks of a world of many devices, on this machine.
* `measure` times a forward pass on this machine.
* `Profile` is the result; `load` reads a saved one.
* `formula` registers the cost of an operator, as a function of `Shape` or `TensorSpec` arguments
  that returns a `Cost`.
* ``memory`` has rules of thumb for the memory of training, ``compat`` replacements for other counters' entry points.

The command line is ``profiler``, or ``python -m profiler``.

Example:
    >>> import torch, profiler
    >>> model = torch.nn.Linear(20, 30)
    >>> with profiler.profile(model) as p:
    ...     _ = model(torch.zeros(4, 20))
    >>> p.totals.macs, p.totals.params, p.uncounted
    (2400, 630, ())
"""

from typing import TYPE_CHECKING

from profiler.util.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from profiler.api import profile
    from profiler.compare_models import compare
    from profiler.formulas import formula
    from profiler.projection.project import project
    from profiler.run.forward import count
    from profiler.run.measure import measure
    from profiler.run.training_step import count_step
    from profiler.tally import Profile, load
    from profiler.values.records import Cost, Shape, TensorSpec
    from profiler.worlds.world import world

__all__ = [
    "Cost",
    "Profile",
    "Shape",
    "TensorSpec",
    "compare",
    "count",
    "count_step",
    "formula",
    "load",
    "measure",
    "profile",
    "project",
    "world",
]

#: The module that defines each name. It is imported on first access: torch takes seconds to import, and pytest imports
#: this package in every session to load the plugin.
_DEFINED_IN = {
    "Cost": "profiler.values.records",
    "Profile": "profiler.tally",
    "Shape": "profiler.values.records",
    "TensorSpec": "profiler.values.records",
    "compare": "profiler.compare_models",
    "compat": "profiler.compat",
    "count": "profiler.run.forward",
    "count_step": "profiler.run.training_step",
    "formula": "profiler.formulas",
    "load": "profiler.tally",
    "measure": "profiler.run.measure",
    "memory": "profiler.values.memory",
    "profile": "profiler.api",
    "project": "profiler.projection",
    "world": "profiler.worlds.world",
}
#: Public names that are modules, as in ``profiler.memory.estimate_training(...)``.
_SUBMODULES = frozenset({"compat", "memory"})

if not TYPE_CHECKING:  # a type checker sees the imports above, and rejects any other name
    __getattr__, __dir__ = lazy_exports(__name__, _DEFINED_IN, _SUBMODULES)
