"""Turn the live arguments of an operator into values that can be hashed and stored, and that hold no tensor."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import chain
from math import inf, prod
from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.process_groups import group_name
from profiler.trace.value_readers import ValueReaders, with_values
from profiler.values.records import FLOAT, ITEMSIZE, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Floats that a formula can depend on (exponents, orders of norms, dropout probabilities of 0 and 1). Any other becomes
#: ``FLOAT``, so that a learning-rate schedule does not add a new record at every step.
_SIGNIFICANT_FLOATS = frozenset({-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, inf, -inf})
#: The classes of plain tensors.
TENSORS = frozenset({torch.Tensor, torch.nn.Parameter})
#: Types whose values are their own specs.
PLAIN = frozenset(
    {int, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format, TensorSpec}
)

#: Types that hold nothing of torch.
DETACHED = frozenset({TensorSpec, type(None), bool, int, float, str})


class SpecCache:
    """Converts arguments to specs. Equal specs are shared between the records of a session."""

    def __init__(self) -> None:
        """Start empty."""
        #: By dtype and shape; of tensors with strides that store each element once.
        self.cached: defaultdict[torch.dtype, dict[torch.Size, TensorSpec]] = defaultdict(dict)
        self._unpacked: dict[int, tuple[torch.ScriptObject, Any]] = {}

    def release(self) -> None:
        """Drop the references to packed weights."""
        self._unpacked.clear()

    def call_specs(
        self, readers: ValueReaders | None, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> tuple[tuple[Any, ...], tuple[tuple[str, Any], ...], Any]:
        """Return the specs of the positional arguments, of the keyword arguments, and of the result of a call."""
        specs = list(self.specs((*args, *kwargs.values())))
        if readers is not None:
            self.read_values(readers, args, kwargs, specs)
        return tuple(specs[: len(args)]), tuple(zip(kwargs, specs[len(args) :], strict=True)), self.spec(result)

    def read_values(
        self, readers: ValueReaders, args: tuple[Any, ...], kwargs: dict[str, Any], specs: list[Any]
    ) -> None:
        """Add values to the specs of arguments whose values affect the cost (masks, lengths)."""
        positions, names = readers
        for i, argument in enumerate(args):
            if i in positions:
                specs[i] = with_values(self.spec(specs[i]), argument, positions[i])
        for i, (name, argument) in enumerate(kwargs.items(), len(args)):
            if name in names:
                specs[i] = with_values(self.spec(specs[i]), argument, names[name])

    def replace_tensors(self, items: list[Any], positions: Iterable[int]) -> list[torch.Tensor]:
        """Replace the tensors at these positions of *items* by their specs, in place; return the tensors.

        This runs for every operator while the model runs, so it does as little as possible. Everything that can be
        converted after the tensors are freed is left to `specs`.
        """
        tensors: list[torch.Tensor] = []
        for i in positions:
            item = items[i]
            if type(item) in TENSORS:
                tensors.append(item)
                try:
                    stored_once = item.layout is torch.strided and (item.is_contiguous() or 0 not in item.stride())
                    items[i] = (stored_once and self.cached[item.dtype].get(item.shape)) or self.new_spec(item)
                except RuntimeError:  # a compressed or nested tensor has no strides
                    items[i] = _nonstrided_spec(item)
            elif isinstance(item, (list, tuple)):
                items[i] = inner = list(item)
                tensors += self.replace_tensors(inner, range(len(inner)))
            elif item is not None:
                tensors += [item] if isinstance(item, torch.Tensor) else []
                items[i] = self.spec(item)
        return tensors

    def specs(self, items: Iterable[Any]) -> tuple[Any, ...]:
        """Return the specs of several arguments."""
        specs: list[Any] = []
        for item in items:
            kind = type(item)
            if kind in PLAIN:
                specs.append(item)
            elif kind is list and item and type(item[0]) is int:  # strides, paddings: such a list holds only integers
                specs.append(tuple(item))
            else:
                specs.append(self.spec(item))
        return tuple(specs)

    def spec(self, value: Any) -> Any:  # noqa: PLR0911 - one return for each type
        """Return the spec of one argument or result.

        A tensor becomes a `TensorSpec`, a sequence a tuple of specs, a float that no formula depends on ``FLOAT``, a
        process group its name, and an object of an unknown type the name of its type.
        """
        kind = type(value)
        if kind in PLAIN:
            return value
        if isinstance(value, torch.Tensor):
            return _tensor_spec(value)
        if kind is float:
            return value if value in _SIGNIFICANT_FLOATS else FLOAT
        if isinstance(value, (list, tuple)):
            return self.specs(value)
        if kind is torch.SymInt:
            return int(value)
        if kind is torch.ScriptObject:
            return self._unpack_weights(value)
        return group_name(value) or kind.__name__

    def _unpack_weights(self, packed: torch.ScriptObject) -> Any:
        """Return the specs of the weights that a quantized layer keeps packed; of any other object, its type's name.

        Unpacking takes longer than the layer itself, so it is done once. The key is the object's hash, which is its
        address: the cache also holds the object, so that the address is not reused.
        """
        entry = self._unpacked.get(hash(packed))
        if entry is not None:
            return entry[1]
        contents = _packed_contents(packed)
        if contents is None:  # a process group, a collective's handle …: held, its buffers would not be freed
            return group_name(packed) or type(packed).__name__
        specs = self.spec(contents)
        self._unpacked[hash(packed)] = packed, specs
        return specs

    def new_spec(self, tensor: torch.Tensor) -> TensorSpec:
        """Build the spec of a tensor; cache it if dtype, shape and layout determine it."""
        if tensor.layout is not torch.strided or 0 in tensor.stride():
            return _tensor_spec(tensor)
        spec = TensorSpec(tuple(tensor.shape), _register_dtype(tensor.dtype), tensor.numel())
        self.cached[tensor.dtype][tensor.shape] = spec
        return spec


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype without the prefix ``torch.``."""
    return str(dtype).removeprefix("torch.")


def detach(spec: Any) -> Any:
    """Return a spec without objects of torch: a dtype, device, layout or memory format becomes its name."""
    if type(spec) in DETACHED or isinstance(spec, (TensorSpec, bool, int, float, str)):
        return spec
    if isinstance(spec, (tuple, list)):
        return tuple(spec if DETACHED.issuperset(map(type, spec)) else map(detach, spec))
    return dtype_name(spec) if isinstance(spec, torch.dtype) else str(spec)


def _tensor_spec(tensor: torch.Tensor) -> TensorSpec:
    is_strided = not tensor.is_nested and tensor.layout is torch.strided
    return _strided_spec(tensor) if is_strided else _nonstrided_spec(tensor)


def _strided_spec(tensor: torch.Tensor) -> TensorSpec:
    elements = 1
    for length, step in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= length if step or length == 0 else 1
    return TensorSpec(tuple(int(n) for n in tensor.shape), _register_dtype(tensor.dtype), int(elements))


@cache
def _register_dtype(dtype: torch.dtype) -> str:
    """Return the name of a dtype; add its size to ``ITEMSIZE`` if torch has a dtype that the table lacks."""
    name = dtype_name(dtype)
    ITEMSIZE.setdefault(name, dtype.itemsize)
    return name


def _nonstrided_spec(tensor: torch.Tensor) -> TensorSpec:
    """Build the spec of a nested, sparse or opaque tensor."""
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


def _packed_contents(packed: Any) -> Any:
    """Unpack the weight and bias of a layer, or the weights and biases of a recurrent cell; None for other objects."""
    methods = packed._method_names()
    if "unpack" in methods:
        return packed.unpack()
    if packed._type().name() == "CellParamsBase":
        (_, tensors, _, _, layers), _ = packed.__getstate__()
        return layers or tensors  # a layer's packed weights include its biases
    return None
