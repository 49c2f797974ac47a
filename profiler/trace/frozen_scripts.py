"""Scripted models that were frozen: their weights are constants of a graph, and no longer parameters of a module."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.jit._script import RecursiveScriptModule

from profiler.trace.nested_tensors import tensors_in

if TYPE_CHECKING:
    from types import FrameType

#: The optimizer of a script compares its constants with it, before the script runs.
EQUAL = torch.ops.aten.equal.default
_CALL = nn.Module._call_impl.__code__


def is_frozen(module: nn.Module) -> bool:
    """Return whether a module is a script that was frozen: it has no flag ``training`` any more."""
    return isinstance(module, RecursiveScriptModule) and not hasattr(module, "training")


def frozen_weights(module: nn.Module) -> tuple[torch.Tensor, ...]:
    """Return the constants of floating point in the graph of a frozen script, which were its parameters and buffers.

    A module that is no script, or is not frozen, has none.

    Example:
        >>> model = torch.nn.Linear(3, 4).eval()
        >>> frozen = torch.jit.freeze(torch.jit.script(model))  # doctest: +SKIP
        >>> sum(weight.numel() for weight in frozen_weights(frozen))  # doctest: +SKIP
        16
    """
    if not is_frozen(module):
        return ()
    graph: Any = module.graph
    values = [node.output() for node in graph.findAllNodes("prim::Constant")]
    tensors = chain.from_iterable(tensors_in(value.toIValue()) for value in values if value.uses())
    return tuple(t for t in tensors if t.is_floating_point() and t.dim() and t.layout is torch.strided)


def is_called_by_script(frame: FrameType) -> bool:
    """Return whether what *frame* called last is a script: torch calls it, and no code of the user's."""
    return frame.f_code is _CALL
