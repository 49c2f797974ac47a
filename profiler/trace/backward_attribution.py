"""Attribute backward work to the module whose forward created the autograd node.

Torch numbers the autograd nodes of a thread in the order of their creation. After each forward operator, the numbers
assigned since the previous one are recorded for the running module. In the backward pass, the number of the running
node leads back to that module. A node that accumulates the gradient of a parameter has no such number: it belongs to
the module that owns the parameter.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.module_stack import walk
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from torch import nn

_next_number = torch._C._autograd._get_sequence_nr
_MAX_RUNS = 2**20  # at the limit the older half is dropped: the graphs of those nodes have long been freed


class BackwardAttribution:
    """Maps the autograd nodes created since the session began to the modules that created them."""

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare to attribute the nodes that *model* creates; older nodes are attributed to ``OUTSIDE``."""
        self._model = model
        self._owners: dict[int, str] | None = None
        self._last = _next_number() - 1
        #: Runs of consecutive nodes created by one module: the last number of each run, and the module's path.
        self._ends: list[int] = [self._last]
        self._paths: list[str] = [OUTSIDE]

    def record_forward(self, path: str) -> None:
        """Attribute the nodes created since the previous call to the module at *path*."""
        last = _next_number() - 1
        if last <= self._last:
            return
        self._last = last
        if self._paths[-1] == path:
            self._ends[-1] = last
            return
        self._ends.append(last)
        self._paths.append(path)
        if len(self._ends) > _MAX_RUNS:
            del self._ends[: _MAX_RUNS // 2], self._paths[: _MAX_RUNS // 2]

    def module_of(self, node: Any) -> str:
        """Return the path of the module whose forward created *node*."""
        parameter = getattr(node, "variable", None)
        if parameter is not None:
            if self._owners is None:
                self._owners = _owners(self._model) if self._model is not None else {}
            return self._owners.get(id(parameter), OUTSIDE)
        run = bisect_left(self._ends, node._sequence_nr())
        return self._paths[run] if run < len(self._paths) else OUTSIDE


def _owners(model: nn.Module) -> dict[int, str]:
    """Map the ``id`` of each parameter to the first path that holds it. The model keeps the parameters alive."""
    owners: dict[int, str] = {}
    for path, module in walk(model):
        for parameter in module._parameters.values():
            owners.setdefault(id(parameter), path)
    return owners
