"""From the live arguments of an operator to inert values that can be hashed and kept."""

from __future__ import annotations

from functools import cache
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.value_readers import ValueReaders, read_values
from profiler.values.records import ITEMSIZE, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Floats on which a formula can depend (exponents, probabilities of nothing or all). Any other is forgotten, so that
#: a learning-rate schedule does not make every step a new record.
_TELLING_FLOATS = frozenset({-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0})
_TENSORS = frozenset({torch.Tensor, torch.nn.Parameter})
_PLAIN = frozenset(
    {int, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format, TensorSpec}
)


class SpecCache:
    """Turns arguments into keys. One for each session: it shares equal specs between records."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._specs: dict[tuple[Any, ...], TensorSpec] = {}
        self._unpacked: dict[int, tuple[torch.ScriptObject, Any]] = {}

    def release(self) -> None:
        """Let go of the packed weights that were looked into."""
        self._unpacked.clear()

    def call(
        self, ways: ValueReaders | None, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> tuple[tuple[Any, ...], tuple[tuple[str, Any], ...], Any]:
        """Observe positional and keyword arguments and the result; those that tell by their values, with these."""
        seen = list(self.values((*args, *kwargs.values())))
        if ways is not None:
            self.look(ways, args, kwargs, seen)
        return tuple(seen[: len(args)]), tuple(zip(kwargs, seen[len(args) :], strict=True)), self.value(result)

    def look(self, ways: ValueReaders, args: tuple[Any, ...], kwargs: dict[str, Any], seen: list[Any]) -> None:
        """Put the values of those arguments that tell by them into what was *seen*."""
        positions, names = ways
        for i, live in enumerate(args):
            seen[i] = read_values(self.value(seen[i]), live, positions[i]) if i in positions else seen[i]
        for i, (name, live) in enumerate(kwargs.items(), len(args)):
            seen[i] = read_values(self.value(seen[i]), live, names[name]) if name in names else seen[i]

    def glance(self, items: list[Any], places: Iterable[int]) -> list[torch.Tensor]:
        """Replace the tensors in *items*, which stand at *places*, by their specs, and give them back.

        This runs in the model's own time for every operator, so it calls as little as it can, and leaves alone what can
        be observed when the tensors are gone.
        """
        tensors: list[torch.Tensor] = []
        for place in places:
            item = items[place]
            if type(item) in _TENSORS:
                tensors.append(item)
                try:
                    whole = item.is_contiguous() or 0 not in item.stride()
                    items[place] = (whole and self._specs.get((item.dtype, item.shape, item.layout))) or self._new(item)
                except RuntimeError:  # a compressed or nested tensor has no strides
                    items[place] = _unusual(item)
            elif isinstance(item, (list, tuple)):
                items[place] = inner = list(item)
                tensors += self.glance(inner, range(len(inner)))
            elif item is not None:
                tensors += [item] if isinstance(item, torch.Tensor) else []
                items[place] = self.value(item)
        return tensors

    def values(self, items: Iterable[Any]) -> tuple[Any, ...]:
        """Observe several arguments."""
        seen: list[Any] = []
        for item in items:
            kind = type(item)
            if kind in _PLAIN:
                seen.append(item)
            elif kind is list and item and type(item[0]) is int:  # strides, paddings: a list is of one kind
                seen.append(tuple(item))
            else:
                seen.append(self.value(item))
        return tuple(seen)

    def value(self, value: Any) -> Any:  # noqa: PLR0911 - one for each kind
        """Observe one argument or result."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if kind is float:
            return value if value in _TELLING_FLOATS else None
        if isinstance(value, (list, tuple)):
            return self.values(value)
        if kind is torch.SymInt:
            return int(value)
        if kind is torch.ScriptObject:
            return self._unpack(value)
        return kind.__name__

    def _unpack(self, packed: torch.ScriptObject) -> Any:
        """Observe the weights of a quantized layer as what they unpack to.

        That takes longer than the layer itself, so it is done once. An object is known by its hash, which is its
        address: it is held, so that no other comes to lie there.
        """
        known = self._unpacked.get(hash(packed))
        if known is None:
            known = self._unpacked[hash(packed)] = packed, self.value(_contents(packed))
        return known[1]

    def _tensor(self, tensor: torch.Tensor) -> TensorSpec:
        unusual = tensor.is_nested or tensor.layout is not torch.strided
        return _unusual(tensor) if unusual else _strided(tensor)

    def _new(self, tensor: torch.Tensor) -> TensorSpec:
        """Observe a tensor of a new kind; keep the spec if dtype, shape and layout tell all of it."""
        if tensor.layout is not torch.strided or 0 in tensor.stride():
            return self._tensor(tensor)
        spec = TensorSpec(tuple(tensor.shape), _known(tensor.dtype), tensor.numel())
        self._specs[tensor.dtype, tensor.shape, tensor.layout] = spec
        return spec


def dtype_name(dtype: torch.dtype) -> str:
    """Name a dtype as torch does, without its prefix."""
    return str(dtype).removeprefix("torch.")


def _strided(tensor: torch.Tensor) -> TensorSpec:
    elements = 1
    for length, step in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= length if step or length == 0 else 1
    return TensorSpec(tuple(int(n) for n in tensor.shape), _known(tensor.dtype), int(elements))


@cache
def _known(dtype: torch.dtype) -> str:
    name = dtype_name(dtype)
    ITEMSIZE.setdefault(name, dtype.itemsize)  # a dtype younger than our table
    return name


def _unusual(tensor: torch.Tensor) -> TensorSpec:
    """Observe a nested, sparse or opaque tensor."""
    name = dtype_name(tensor.dtype)
    if tensor.is_nested:
        sizes = _component_sizes(tensor)
        shape = (len(sizes), *map(max, zip(*sizes, strict=True)))
        return TensorSpec(shape, name, sum(map(prod, sizes)), "nested", values=tuple(chain.from_iterable(sizes)))
    layout = str(tensor.layout).removeprefix("torch.")
    return TensorSpec(tuple(tensor.shape), name, _stored_elements(tensor), layout)


def _component_sizes(nested: torch.Tensor) -> list[list[int]]:
    """List the shapes of a nested tensor's components."""
    if nested.layout is torch.jagged:
        return [list(component.shape) for component in nested.unbind()]
    sizes: list[list[int]] = nested._nested_tensor_size().tolist()
    return sizes


def _stored_elements(tensor: torch.Tensor) -> int:
    if tensor.layout is torch.sparse_coo:
        return tensor._values().numel()
    if tensor.layout in {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}:
        return tensor.values().numel()
    return tensor.numel()


def _contents(packed: Any) -> Any:
    """Unpack the weight and bias of a layer, or the weights and biases of a recurrent cell."""
    methods = packed._method_names()
    if "unpack" in methods:
        return packed.unpack()
    if packed._type().name() == "CellParamsBase":
        (_, tensors, _, _, layers), _ = packed.__getstate__()
        return layers or tensors  # a layer has its biases packed with it
    return type(packed).__name__
