"""Arguments whose values determine the cost: attention masks, sequence lengths, offsets of groups.

Shapes alone do not tell how many scores a mask lets through, or how long each packed sequence is.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from profiler.trace.known_values import known_value
from profiler.values.records import LENGTHS, TensorSpec

#: Maps the spec of an argument and the live tensor to a spec that also holds what was read from the tensor.
ValueReader = Callable[[TensorSpec, torch.Tensor], TensorSpec]
#: The readers for the arguments of one operator, by position and by name.
ValueReaders = tuple[dict[int, ValueReader], dict[str, ValueReader]]

_MASKS = frozenset({"attn_mask", "attn_bias", "bias", "mask"})
_LENGTHS = LENGTHS | {"offs"}
#: Operators whose Boolean masks are true where a score is masked out.
_INVERTED = frozenset({"aten::_native_multi_head_attention", "aten::_transformer_encoder_layer_fwd"})


def value_readers_of(operator: Any) -> ValueReaders | None:
    """Return the readers for an operator's arguments; None if its cost follows from shapes alone, as for most."""
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return None
    readers: dict[str, ValueReader] = {a.name: keep_lengths for a in schema.arguments if a.name in _LENGTHS}
    if schema.name in _INVERTED:
        readers["mask"] = count_zeros
    elif "attention" in schema.name:
        readers |= {a.name: count_unmasked for a in schema.arguments if a.name in _MASKS}
    positions = {i: readers[a.name] for i, a in enumerate(schema.arguments) if a.name in readers}
    return (positions, readers) if readers else None


def with_values(spec: Any, argument: Any, reader: ValueReader) -> Any:
    """Apply *reader* to an argument; return *spec* unchanged where no values are known: on meta, or for no tensor."""
    if not isinstance(argument, torch.Tensor) or _is_fake(argument):
        return spec
    values = known_value(argument) if argument.is_meta else argument
    return spec if values is None else reader(spec, values)


def keep_lengths(spec: TensorSpec, tensor: torch.Tensor) -> TensorSpec:
    """Add the values of a small integer tensor to its spec."""
    return spec._replace(values=tuple(tensor.tolist()))


def count_unmasked(spec: TensorSpec, mask: torch.Tensor) -> TensorSpec:
    """Add the number of unmasked elements to the spec of an attention mask.

    A Boolean mask keeps a score where it is true. A floating-point mask is added to the scores: it masks a score out
    with −inf, or with the lowest number of its dtype.
    """
    if mask.is_floating_point():
        return spec._replace(unmasked=_count(mask, lambda values: values > torch.finfo(values.dtype).min))
    return spec._replace(unmasked=_count(mask, lambda values: values))


def count_zeros(spec: TensorSpec, mask: torch.Tensor) -> TensorSpec:
    """Add the number of zeros to the spec of a mask whose nonzero elements mask a score out."""
    return spec._replace(unmasked=_count(mask, lambda values: values == 0))


def _count(mask: torch.Tensor, is_unmasked: Callable[[torch.Tensor], torch.Tensor]) -> int:
    """Count the unmasked elements. An expanded dimension (stride 0) is read once and multiplied."""
    stored = mask[tuple(slice(1) if step == 0 else slice(None) for step in mask.stride())]
    return int(is_unmasked(stored).count_nonzero()) * (prod(mask.shape) // max(prod(stored.shape), 1))


def _is_fake(tensor: torch.Tensor) -> bool:
    return type(tensor).__name__ == "FakeTensor"
