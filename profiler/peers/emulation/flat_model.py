"""A model as ``torch.jit.trace`` wants it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from profiler.peers.emulation.jit_trace import FLAT_MODEL
from profiler.trace.composite_calls import tensors_in


class FlatModel(nn.Module):
    """A model with the signature that a tracer requires: distinct tensors in, a tuple of tensors out."""

    def __init__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Collect the tensors among the arguments into ``tensors``, and keep the other arguments as constants."""
        super().__init__()
        self.add_module(FLAT_MODEL, model)
        leaves, self._spec = tree_flatten((args, kwargs))
        self.tensors = {id(leaf): leaf for leaf in leaves if isinstance(leaf, torch.Tensor)}
        order = list(self.tensors)
        self._leaves = [(order.index(id(x)), None) if id(x) in self.tensors else (None, x) for x in leaves]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Call the model with its original arguments; return the tensors in its output."""
        leaves = [constant if index is None else tensors[index] for index, constant in self._leaves]
        args, kwargs = tree_unflatten(leaves, self._spec)
        return tuple(tensors_in(getattr(self, FLAT_MODEL)(*args, **kwargs)))
