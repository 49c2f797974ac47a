"""Count the parameters and buffers of a model by module; each tensor counts once, however many modules share it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
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


class ModuleParameters(NamedTuple):
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
    sums, packing = _Sums(), packing_kinds(holdings)
    modes: set[bool] = set()
    modules = []
    for path, module, is_first, parameters, buffers in holdings.rows:
        params = trainable = kept = 0
        modes.add(getattr(module, "training", False))  # a frozen script has no such attribute
        if parameters:
            params, trainable = sums.add_parameters(parameters)
        kind = type(module)
        if is_first and kind in packing:
            packed = packed_weights(module)
            sums.add_packed(module, packed)
            params += sum(map(elements_here, packed))
            trainable += sum(elements_here(tensor) for tensor in packed if tensor.requires_grad)
        if buffers:
            kept = sums.add_buffers(buffers)
        modules.append(ModuleParameters(path, kind.__name__, params, trainable, kept))
    device = ", ".join(sorted({device.type for device in sums.devices})) or "cpu"
    names = {dtype_name(dtype): elements for dtype, elements in sums.by_dtype.items()}
    return ModelInventory(tuple(modules), names, sum(sums.held.values()), sums.whole, device, _mode(modes))


def _mode(training: set[bool]) -> str:
    """Return the mode of modules, of which these are the distinct values of ``training``."""
    if len(training) > 1:
        return "mixed"
    return "train" if training.pop() else "eval"


class _Sums:
    """Sums over the parameters and buffers of a model, each counted once."""

    def __init__(self) -> None:
        self.by_dtype: dict[torch.dtype, int] = {}
        #: The bytes of each part of the parameters.
        self.held: dict[object, int] = {}
        self.whole = 0
        self.devices: set[torch.device] = set()
        self._counted: set[object] = set()

    def add_parameters(self, tensors: Iterable[torch.Tensor]) -> tuple[int, int]:
        """Add the own parameters of a module; return the elements of the new ones, and of those that are trained."""
        params = trainable = 0
        for tensor in tensors:
            self.devices.add(tensor.device)
            if type(tensor) not in TENSORS and nn.parameter.is_lazy(tensor):
                continue
            identity = _identity(tensor)
            if identity in self._counted:
                continue
            self._counted.add(identity)
            elements = self._measure(tensor, identity)
            params += elements
            trainable += elements if tensor.requires_grad else 0
        return params, trainable

    def add_packed(self, module: nn.Module, tensors: Iterable[torch.Tensor]) -> None:
        """Add the weights that a module keeps packed."""
        for i, tensor in enumerate(tensors):
            self._measure(tensor, None)
            self.held[module, i] = _bytes(tensor)

    def add_buffers(self, tensors: Iterable[torch.Tensor]) -> int:
        """Add the own buffers of a module; return the elements of the new ones."""
        elements = 0
        for tensor in tensors:
            self.devices.add(tensor.device)
            if type(tensor) not in TENSORS and nn.parameter.is_lazy(tensor):
                continue
            identity = _identity(tensor)
            if identity not in self._counted:
                self._counted.add(identity)
                elements += tensor.numel() if type(tensor) in TENSORS else elements_here(tensor)
        return elements

    def _measure(self, tensor: torch.Tensor, identity: object) -> int:
        """Add the elements and bytes of a parameter; without an *identity*, not the bytes. Return the elements."""
        elements = tensor.numel()
        if type(tensor) in TENSORS and tensor.layout is torch.strided and tensor.is_contiguous():
            dtype = tensor.dtype
            self.whole += elements
            if identity is not None:
                self.held[identity] = elements * dtype.itemsize
        else:
            self.whole += int(elements)
            elements, parts = elements_here(tensor), list(inner_tensors(tensor))
            dtype = max(parts, key=_bytes, default=tensor).dtype
            if identity is not None:
                held = [inner for part in parts for inner in sparse_parts(part) or (part,)]
                self.held.update({_identity(part): _bytes(part) for part in held})
        self.by_dtype[dtype] = self.by_dtype.get(dtype, 0) + elements
        return elements


def _bytes(tensor: torch.Tensor) -> int:
    spec: TensorSpec = SpecCache().spec(tensor)
    return spec.bytes


def _identity(tensor: torch.Tensor) -> object:
    """Return a key for the elements of a tensor: a transposed or tied weight has the same key as its original."""
    if type(tensor) not in TENSORS and is_wrapper(tensor):
        return tuple(map(_identity, inner_tensors(tensor)))
    try:
        return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.numel()
    except (RuntimeError, NotImplementedError):  # sparse, nested and opaque tensors have no storage of their own
        return id(tensor)


def packing_kinds(holdings: Holdings) -> set[type]:
    """Return the classes among those of the modules whose layers may keep their weights packed."""
    return {kind for kind in set(map(type, holdings.modules)) if _packs_weights(kind.__module__, kind.__name__)}


@cache
def _packs_weights(defined_in: str, name: str) -> bool:
    """Return whether layers of a class may keep their weights packed; not the submodule that unpacks them.

    Args:
        defined_in: The class's ``__module__``; strings, so that the cache keeps no class alive.
        name: Its ``__name__``.
    """
    return defined_in.startswith("torch.ao.nn") and name != "LinearPackedParams"


def packed_weights(module: nn.Module) -> list[torch.Tensor]:
    """Unpack the weights and biases that a quantized layer keeps packed, which ``parameters()`` does not list.

    Each call makes new tensors. To count a shared module once, compare the modules and not these tensors.
    """
    kind = type(module)
    if not _packs_weights(kind.__module__, kind.__name__):
        return []
    unpack = getattr(module, "_weight_bias", None)
    if unpack is None:
        return []
    leaves = [leaf for leaf in tree_leaves(unpack()) if isinstance(leaf, torch.Tensor)]
    if torch.float16 not in _packed_dtypes(module):
        return leaves
    return [leaf.half() if leaf.dim() > 1 else leaf for leaf in leaves]  # unpacked as float32; biases are float32


def _packed_dtypes(module: nn.Module) -> set[torch.dtype | None]:
    """Return what a quantized layer says of the dtype of its weights: a linear, a recurrent layer and a cell differ."""
    places = (getattr(module, "_packed_params", None), "dtype"), (module, "dtype"), (module, "weight_dtype")
    return {getattr(owner, name, None) for owner, name in places}
