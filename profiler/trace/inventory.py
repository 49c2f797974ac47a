"""What a model holds: its modules, and its parameters and buffers, each storage once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from profiler.trace.argument_specs import dtype_name
from profiler.trace.module_stack import walk

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class ModuleParameters:
    """What one module holds itself, less what an earlier module holds already."""

    path: str
    type: str
    params: int = 0
    trainable_params: int = 0
    buffers: int = 0


@dataclass(frozen=True, slots=True)
class ModelInventory:
    """All modules of a model, parents before children."""

    holdings: tuple[ModuleParameters, ...]
    params_by_dtype: dict[str, int] = field(default_factory=dict)
    device: str = "none"


def take_inventory(model: nn.Module | None) -> ModelInventory:
    """Count the model's parameters and buffers; a tied or shared one belongs to the first module that holds it."""
    if model is None:
        return ModelInventory(())
    seen: set[object] = set()
    by_dtype: Counter[str] = Counter()
    holdings = []
    for path, module in walk(model):
        params = _unseen(module._parameters.values(), seen) + ([] if module in seen else packed(module))
        seen.add(module)
        by_dtype.update({dtype_name(p.dtype): 0 for p in params})
        for p in params:
            by_dtype[dtype_name(p.dtype)] += p.numel()
        buffers = _unseen(module._buffers.values(), seen)
        trainable = sum(p.numel() for p in params if p.requires_grad)
        held, kept = sum(p.numel() for p in params), sum(b.numel() for b in buffers)
        holdings.append(ModuleParameters(path, type(module).__name__, held, trainable, kept))
    return ModelInventory(tuple(holdings), dict(by_dtype), _device(model))


def _unseen(candidates: Iterable[Any], seen: set[object]) -> list[torch.Tensor]:
    """Keep the tensors whose elements were not met before, and remember them."""
    fresh = []
    for tensor in candidates:
        if tensor is None or nn.parameter.is_lazy(tensor) or _identity(tensor) in seen:
            continue
        seen.add(_identity(tensor))
        fresh.append(tensor)
    return fresh


def _identity(tensor: torch.Tensor) -> object:
    """Say which elements of which storage a tensor names: a transposed or tied weight has its original's."""
    try:
        return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel()
    except (RuntimeError, NotImplementedError):  # sparse, nested and opaque tensors have no storage of their own
        return id(tensor)


def packed(module: nn.Module) -> list[torch.Tensor]:
    """List the weights and biases that a quantized layer keeps packed, out of ``parameters()``' sight.

    Each unpacking makes new tensors, so a module that is met again must be known by itself.
    """
    kind = type(module)
    unpack = getattr(module, "_weight_bias", None)
    inner = kind.__name__ == "LinearPackedParams"  # a part of the layer that unpacks it
    if unpack is None or inner or not kind.__module__.startswith("torch.ao.nn"):
        return []
    return [leaf for leaf in tree_leaves(unpack()) if isinstance(leaf, torch.Tensor)]


def _device(model: nn.Module) -> str:
    """Name the device of the parameters and buffers, or all of them where they differ."""
    held = [*model.parameters(), *model.buffers()]
    return ", ".join(sorted({tensor.device.type for tensor in held})) or "cpu"
