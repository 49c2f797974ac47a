"""Whose gradient it is: backward work belongs to the module whose forward made the autograd node.

Torch numbers the nodes of a thread as it makes them. At each forward operator the numbers given out since the last one
are noted for the running module; in the backward pass the running node's number leads back to it. A node without a
number of its own accumulates the gradient of a parameter, and belongs to the module that holds the parameter.
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
_MOST = 2**20  # runs of nodes that are remembered; the graph of an older one has long been freed


class BackwardAttribution:
    """The modules that made the nodes numbered since the session began."""

    def __init__(self, model: nn.Module | None) -> None:
        """Know the owners of the parameters; nodes older than this belong to nobody here."""
        self._model = model
        self._owners: dict[int, str] | None = None
        self._last = _next_number() - 1
        #: The last number of each run of nodes that one module made, and its path.
        self._ends: list[int] = [self._last]
        self._paths: list[str] = [OUTSIDE]

    def note(self, path: str) -> None:
        """Say that the nodes made since the last note are those of the module at *path*."""
        last = _next_number() - 1
        if last <= self._last:
            return
        self._last = last
        if self._paths[-1] == path:
            self._ends[-1] = last
            return
        self._ends.append(last)
        self._paths.append(path)
        if len(self._ends) > _MOST:
            del self._ends[: _MOST // 2], self._paths[: _MOST // 2]

    def find(self, node: Any) -> str:
        """Give the path of the module whose forward made *node*."""
        variable = getattr(node, "variable", None)
        if variable is not None:
            if self._owners is None:
                self._owners = _owners(self._model) if self._model is not None else {}
            return self._owners.get(id(variable), OUTSIDE)
        run = bisect_left(self._ends, node._sequence_nr())
        return self._paths[run] if run < len(self._paths) else OUTSIDE


def _owners(model: nn.Module) -> dict[int, str]:
    """Map the identity of each parameter to the first path that holds it; the model keeps them alive."""
    owners: dict[int, str] = {}
    for path, module in walk(model):
        for parameter in module._parameters.values():
            owners.setdefault(id(parameter), path)
    return owners
