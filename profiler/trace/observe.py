"""From the live arguments of an operator to inert values that can be hashed and kept."""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from profiler.records import ITEMSIZE, TensorSpec
from profiler.trace.telling import Ways, told

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Floats on which a formula can depend (exponents, probabilities of nothing or all). Any other is forgotten, so that
#: a learning-rate schedule does not make every step a new record.
_TELLING_FLOATS = frozenset({-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0})
_TENSORS = frozenset({torch.Tensor, torch.nn.Parameter})
_PLAIN = frozenset(
    {int, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format, TensorSpec}
)


class Observer:
    """Turns arguments into keys. One for each session: it shares equal specs between records."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._specs: dict[tuple[Any, ...], TensorSpec] = {}
        self._unpacked: dict[int, tuple[torch.ScriptObject, Any]] = {}

    def release(self) -> None:
        """Let go of the packed weights that were looked into."""
        self._unpacked.clear()

    def call(
        self, ways: Ways | None, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> tuple[tuple[Any, ...], tuple[tuple[str, Any], ...], Any]:
        """Observe positional and keyword arguments and the result; those that tell by their values, with these."""
        *seen, out = self.values((*args, result))
        named = tuple(zip(kwargs, self.values(kwargs.values()), strict=True)) if kwargs else ()
        if ways is None:
            return tuple(seen), named, out
        positions, names = ways
        return (
            tuple(told(s, a, positions.get(i)) for i, (s, a) in enumerate(zip(seen, args, strict=True))),
            tuple((n, told(s, kwargs[n], names.get(n))) for n, s in named),
            out,
        )

    def values(self, items: Iterable[Any]) -> tuple[Any, ...]:
        """Observe several arguments. The loop runs in the model's own time, so it calls as little as it can."""
        seen: list[Any] = []
        for item in items:
            kind = type(item)
            if kind in _TENSORS:
                try:
                    key = (item.dtype, item.layout, item.stride(), *item.shape)
                    spec = self._specs.get(key)
                    seen.append(spec if spec is not None else self._remember(key, item))
                except RuntimeError:  # a compressed, nested or opaque tensor has no strides
                    seen.append(_unusual(item))
            elif kind in _PLAIN:
                seen.append(item)
            elif kind is list and item and type(item[0]) is int:  # strides, paddings: a list is of one kind
                seen.append(tuple(item))
            else:
                seen.append(self.value(item))
        return tuple(seen)

    def value(self, value: Any) -> Any:  # noqa: PLR0911 - one for each kind
        """Observe one argument or result."""
        kind = type(value)
        if kind in _TENSORS or kind in _PLAIN:
            return self.values((value,))[0]
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

    def _remember(self, key: tuple[Any, ...], tensor: torch.Tensor) -> TensorSpec:
        spec = self._tensor(tensor)
        if tensor.layout is torch.strided:  # of another layout, the shape does not tell how much is stored
            self._specs[key] = spec
        return spec


def dtype_name(dtype: torch.dtype) -> str:
    """Name a dtype as torch does, without its prefix."""
    return str(dtype).removeprefix("torch.")


def _strided(tensor: torch.Tensor) -> TensorSpec:
    elements = 1
    for length, step in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= length if step or length == 0 else 1
    return TensorSpec(tuple(int(n) for n in tensor.shape), _known(tensor.dtype), int(elements))


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
