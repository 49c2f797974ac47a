"""Count the parameters and buffers of a model by module; each tensor counts once, however many modules share it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from profiler.trace.argument_specs import SpecCache, dtype_name
from profiler.trace.inner_tensors import elements_here, inner_tensors, is_wrapper
from profiler.trace.module_paths import modules_of, tensors_of, walk
from profiler.trace.sharded_parameters import kept_parameters, shards_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.records import TensorSpec


@dataclass(frozen=True, slots=True)
class ModuleParameters:
    """The number of elements of a module's own parameters and buffers, without those that an earlier module has."""

    path: str
    type: str
    params: int = 0
    trainable_params: int = 0
    buffers: int = 0


@dataclass(frozen=True, slots=True)
class ModelInventory:
    """The modules of a model, parents before children, with their parameters."""

    modules: tuple[ModuleParameters, ...]
    #: The number of parameters of each dtype. A quantized one has the dtype in which most of its bytes are held.
    params_by_dtype: dict[str, int] = field(default_factory=dict)
    #: The bytes that hold the parameters, scales and other parts of wrapper subclasses included.
    param_bytes: int = 0
    #: The number of parameters of the whole model; a rank holds the shards of distributed ones, in ``modules``.
    global_params: int = 0
    #: The type of the device on which the parameters and buffers are; several are joined by commas.
    device: str = "none"


def take_inventory(model: nn.Module | None) -> ModelInventory:
    """Count the parameters and buffers of *model* by module. A tied or shared one counts for its first module.

    The weights that a quantized layer keeps packed count as parameters. For None, the inventory is empty.

    Example:
        >>> inventory = take_inventory(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
        >>> [(module.path, module.params) for module in inventory.modules]
        [('', 0), ('0', 16), ('1', 0)]
    """
    if model is None:
        return ModelInventory(())
    counted: set[object] = set()
    by_dtype: Counter[str] = Counter()
    held: dict[object, int] = {}
    whole = 0
    modules = []
    shards = shards_of(modules_of(model))
    for path, module in walk(model):
        own = _uncounted(kept_parameters(module, shards), counted)
        packed = [] if module in counted else packed_weights(module)
        params = [*own, *packed]
        counted.add(module)
        whole += sum(int(p.numel()) for p in params)
        for p in params:
            by_dtype[_held_dtype(p)] += elements_here(p)
        held.update((_identity(part), _bytes(part)) for p in own for part in inner_tensors(p))
        held.update(((module, i), _bytes(p)) for i, p in enumerate(packed))
        buffers = _uncounted(module._buffers.values(), counted)
        trainable = [p for p in params if p.requires_grad]
        modules.append(ModuleParameters(path, type(module).__name__, *map(_elements, (params, trainable, buffers))))
    return ModelInventory(tuple(modules), dict(by_dtype), sum(held.values()), whole, _device(model))


def _elements(tensors: Iterable[torch.Tensor]) -> int:
    return sum(map(elements_here, tensors))


def _held_dtype(parameter: torch.Tensor) -> str:
    """Return the dtype in which most of a parameter's bytes are held."""
    return dtype_name(max(inner_tensors(parameter), key=_bytes, default=parameter).dtype)


def _bytes(tensor: torch.Tensor) -> int:
    spec: TensorSpec = SpecCache().spec(tensor)
    return spec.bytes


def _uncounted(candidates: Iterable[Any], counted: set[object]) -> list[torch.Tensor]:
    """Return the tensors whose elements are not yet *counted*, and add them to it."""
    tensors = []
    for tensor in candidates:
        if tensor is None or nn.parameter.is_lazy(tensor) or _identity(tensor) in counted:
            continue
        counted.add(_identity(tensor))
        tensors.append(tensor)
    return tensors


def _identity(tensor: torch.Tensor) -> object:
    """Return a key for the elements of a tensor: a transposed or tied weight has the same key as its original."""
    if is_wrapper(tensor):
        return tuple(map(_identity, inner_tensors(tensor)))
    try:
        return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel()
    except (RuntimeError, NotImplementedError):  # sparse, nested and opaque tensors have no storage of their own
        return id(tensor)


def packed_weights(module: nn.Module) -> list[torch.Tensor]:
    """Unpack the weights and biases that a quantized layer keeps packed, which ``parameters()`` does not list.

    Each call makes new tensors. To count a shared module once, compare the modules and not these tensors.
    """
    kind = type(module)
    unpack = getattr(module, "_weight_bias", None)
    is_inner = kind.__name__ == "LinearPackedParams"  # a submodule of the layer that unpacks it
    if unpack is None or is_inner or not kind.__module__.startswith("torch.ao.nn"):
        return []
    return [leaf for leaf in tree_leaves(unpack()) if isinstance(leaf, torch.Tensor)]


def _device(model: nn.Module) -> str:
    """Return the device types of the parameters and buffers, joined by commas; "cpu" if there are none."""
    return ", ".join(sorted({tensor.device.type for tensor in tensors_of(model)})) or "cpu"
