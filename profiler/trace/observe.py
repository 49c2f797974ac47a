"""From the live arguments of an operator to inert values that can be hashed and kept."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from profiler.records import ITEMSIZE, TensorSpec

if TYPE_CHECKING:
    from torch._ops import OpOverload

#: Floats on which a formula can depend (exponents, probabilities of nothing or all). Any other is forgotten, so that
#: a learning-rate schedule does not make every step a new record.
_TELLING_FLOATS = frozenset({-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0})
_MASKS = frozenset({"attn_mask", "attn_bias", "bias", "mask"})
_VALUES = frozenset({"cum_seq_q", "cum_seq_k", "cu_seqlens_q", "cu_seqlens_k", "offs", "seqused_k", "seqlen_k"})
_PLAIN = frozenset({int, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format})


class Observer:
    """Turns arguments into keys. One for each session: it shares equal specs between records."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._specs: dict[tuple[torch.Size, torch.dtype], TensorSpec] = {}

    def arguments(
        self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]]:
        """Observe positional and keyword arguments, masks and offsets with their values."""
        positions, names = _telling(operator)
        seen = tuple([self.value(a) for a in args])
        named = tuple([(name, self.value(a)) for name, a in kwargs.items()]) if kwargs else ()
        if not names:
            return seen, named
        return (
            tuple(_with_values(s, a, positions.get(i)) for i, (s, a) in enumerate(zip(seen, args, strict=True))),
            tuple((n, _with_values(s, kwargs[n], names.get(n))) for n, s in named),
        )

    def value(self, value: Any) -> Any:
        """Observe one argument or result.

        The order is that of how often each kind is met.
        """
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if value in _TELLING_FLOATS else None
        if kind is list or kind is tuple or isinstance(value, (list, tuple)):
            return tuple([self.value(item) for item in value])
        if kind is torch.SymInt:
            return int(value)
        if kind is torch.ScriptObject and hasattr(value, "unpack"):  # packed weights of a quantized layer
            return tuple(self.value(item) for item in value.unpack())
        return kind.__name__

    def _tensor(self, tensor: torch.Tensor) -> TensorSpec:
        if tensor.is_nested or tensor.layout is not torch.strided:
            return _unusual(tensor)
        shape, dtype = tensor.shape, tensor.dtype
        if not tensor.is_contiguous():
            return _strided(tensor)
        spec = self._specs.get((shape, dtype))
        if spec is None:
            spec = self._specs[shape, dtype] = _strided(tensor)
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
        sizes = tensor._nested_tensor_size()
        shape = (tensor.size(0), *sizes.amax(0).tolist()) if sizes.numel() else (tensor.size(0),)
        return TensorSpec(shape, name, tensor.numel(), "nested")
    layout = str(tensor.layout).removeprefix("torch.")
    return TensorSpec(tuple(tensor.shape), name, _stored_elements(tensor), layout)


def _stored_elements(tensor: torch.Tensor) -> int:
    if tensor.layout is torch.sparse_coo:
        return tensor._values().numel()
    if tensor.layout in {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}:
        return tensor.values().numel()
    return tensor.numel()


@cache
def _telling(operator: OpOverload) -> tuple[dict[int, str], dict[str, str]]:
    """Say which arguments of an operator tell by their values, and how: by position and by name."""
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return {}, {}
    name = schema.name
    masks = _MASKS if "attention" in name or "transformer" in name else frozenset[str]()
    ways = {a.name: "mask" for a in schema.arguments if a.name in masks}
    ways |= {a.name: "values" for a in schema.arguments if a.name in _VALUES}
    return {i: ways[a.name] for i, a in enumerate(schema.arguments) if a.name in ways}, ways


def _with_values(seen: Any, live: Any, way: str | None) -> Any:
    if way is None or not isinstance(live, torch.Tensor) or live.is_meta or _is_fake(live):
        return seen
    if way == "values":
        return seen._replace(values=tuple(live.tolist()))
    return seen._replace(kept=_kept(live))


def _is_fake(tensor: torch.Tensor) -> bool:
    return type(tensor).__name__ == "FakeTensor"


def _kept(mask: torch.Tensor) -> int:
    """Count the elements of an attention mask that let their score through.

    A Boolean mask keeps where it is true; an additive one masks with −inf, or with the lowest number of its dtype.
    """
    if mask.is_floating_point():
        return int((mask > torch.finfo(mask.dtype).min).sum())
    return int(mask.count_nonzero())
