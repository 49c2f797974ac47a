"""What the counters that read a ``torch.jit`` trace have in common: fvcore and torchprofile.

They trace the model with gradients enabled, so that no module takes a fused fast path. The trace holds the operators as
Python called them, composite ones not decomposed, without those on which the output does not depend. The counter has a
handler for some operators and counts the others as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from profiler.tally.tally import cost_record
from profiler.trace.composite_calls import tensors_in

if TYPE_CHECKING:
    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.records import OpRecord


class FlatModel(nn.Module):
    """A model with the signature that a tracer requires: distinct tensors in, a tuple of tensors out."""

    #: The attribute that holds the model.
    NAME = "model"

    def __init__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Collect the tensors among the arguments into ``tensors``, and keep the other arguments as constants."""
        super().__init__()
        self.add_module(self.NAME, model)
        leaves, self._spec = tree_flatten((args, kwargs))
        self.tensors = {id(leaf): leaf for leaf in leaves if isinstance(leaf, torch.Tensor)}
        order = list(self.tensors)
        self._leaves = [(order.index(id(x)), None) if id(x) in self.tensors else (None, x) for x in leaves]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Call the model with its original arguments; return the tensors in its output."""
        leaves = [constant if index is None else tensors[index] for index, constant in self._leaves]
        args, kwargs = tree_unflatten(leaves, self._spec)
        return tuple(tensors_in(getattr(self, self.NAME)(*args, **kwargs)))


def reaches_handler(call: CompositeCall) -> bool:
    """Return whether the trace shows a call as an operator for which handlers are looked up."""
    return bool(call.used and not call.function and not has_named_padding(call.record))


def has_named_padding(record: OpRecord) -> bool:
    """Return whether a convolution has ``padding="same"`` or ``"valid"``: the tracer uses another operator for it."""
    return record.packet.startswith("aten.conv") and record.operator.endswith(".padding")


def macs_as_real(call: CompositeCall) -> int:
    """Return the MACs of one call if a complex multiply-add counts as one, not as four real ones."""
    entries = [cost_record(part) for part in call.parts]
    return sum(e.record.calls * (e.macs // 4 if e.dtype.startswith("complex") else e.macs) for e in entries)


def argument(record: OpRecord, name: str) -> Any:
    """Return an argument of an operator by its schema name."""
    return dict(record.arguments)[name]
