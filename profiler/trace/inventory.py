"""Count the parameters and buffers of a model by module; each tensor counts once, however many modules share it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from profiler.trace.argument_specs import TENSORS, SpecCache, dtype_name
from profiler.trace.held_tensors import Holdings
from profiler.trace.inner_tensors import elements_here, inner_tensors, is_wrapper, sparse_parts

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
    #: The mode of the modules: "eval", "train", or "mixed"; empty if there are none.
    mode: str = ""


def take_inventory(model: nn.Module | None) -> ModelInventory:
    """Count the parameters and buffers of *model* by module. A tied or shared one counts for its first module.

    The weights that a quantized layer keeps packed count as parameters. For None, the inventory is empty.

    Example:
        >>> inventory = take_inventory(nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
        >>> [(module.path, module.params) for module in inventory.modules]
        [('', 0), ('0', 16), ('1', 0)]
    """
    return inventory_of(Holdings(model))


def inventory_of(holdings: Holdings) -> ModelInventory:
    """Count the parameters and buffers of a model by module, as `take_inventory` does."""
    if not holdings.rows:
        return ModelInventory(())
    counted: set[object] = set()
    by_dtype: dict[torch.dtype, int] = {}
    held: dict[object, int] = {}
    whole = 0
    devices: set[torch.device] = set()
    modes: set[bool] = set()
    modules = []
    for path, module, is_first, parameters, buffers in holdings.rows:
        params = trainable = 0
        modes.add(module.training)
        devices.update([tensor.device for tensor in parameters], [tensor.device for tensor in buffers])
        own = _uncounted(parameters, counted) if parameters else []
        packed = packed_weights(module) if is_first else []
        for i, tensor in enumerate((*own, *packed)):
            measured = _measure(tensor)
            params += measured.elements
            whole += int(tensor.numel())
            trainable += measured.elements if tensor.requires_grad else 0
            by_dtype[measured.dtype] = by_dtype.get(measured.dtype, 0) + measured.elements
            held.update(measured.bytes if i < len(own) else (((module, i), _bytes(tensor)),))
        kept = sum([elements_here(tensor) for tensor in _uncounted(buffers, counted)]) if buffers else 0
        modules.append(ModuleParameters(path, type(module).__name__, params, trainable, kept))
    device = ", ".join(sorted({device.type for device in devices})) or "cpu"
    names = {dtype_name(dtype): elements for dtype, elements in by_dtype.items()}
    return ModelInventory(tuple(modules), names, sum(held.values()), whole, device, _mode(modes))


def _mode(training: set[bool]) -> str:
    """Return the mode of modules, of which these are the distinct values of ``training``."""
    if len(training) > 1:
        return "mixed"
    return "train" if training.pop() else "eval"


class _Measured(NamedTuple):
    """A parameter: its elements, the dtype in which most of its bytes are held, and the bytes of each of its parts."""

    elements: int
    dtype: torch.dtype
    bytes: tuple[tuple[object, int], ...]


def _measure(tensor: torch.Tensor) -> _Measured:
    if type(tensor) in TENSORS and tensor.layout is torch.strided and tensor.is_contiguous():
        elements = tensor.numel()
        return _Measured(elements, tensor.dtype, ((_identity(tensor), elements * tensor.itemsize),))
    parts = list(inner_tensors(tensor))
    dtype = max(parts, key=_bytes, default=tensor).dtype
    held = [inner for part in parts for inner in sparse_parts(part) or (part,)]
    return _Measured(elements_here(tensor), dtype, tuple((_identity(part), _bytes(part)) for part in held))


def _bytes(tensor: torch.Tensor) -> int:
    spec: TensorSpec = SpecCache().spec(tensor)
    return spec.bytes


def _uncounted(candidates: Iterable[torch.Tensor], counted: set[object]) -> list[torch.Tensor]:
    """Return the tensors whose elements are not yet *counted*, and add them to it."""
    tensors = []
    for tensor in candidates:
        if type(tensor) not in TENSORS and nn.parameter.is_lazy(tensor):
            continue
        identity = _identity(tensor)
        if identity not in counted:
            counted.add(identity)
            tensors.append(tensor)
    return tensors


def _identity(tensor: torch.Tensor) -> object:
    """Return a key for the elements of a tensor: a transposed or tied weight has the same key as its original."""
    if type(tensor) not in TENSORS and is_wrapper(tensor):
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
    is_inner = kind.__name__ == "LinearPackedParams"  # a submodule of the layer that unpacks it
    if is_inner or not kind.__module__.startswith("torch.ao.nn"):
        return []
    unpack = getattr(module, "_weight_bias", None)
    if unpack is None:
        return []
    return [leaf for leaf in tree_leaves(unpack()) if isinstance(leaf, torch.Tensor)]
