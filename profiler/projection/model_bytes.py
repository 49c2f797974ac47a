"""Bytes of a whole model in a precision scheme: its weights, its activations, and the traffic that no run avoids."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.projection.precision import STORED_BYTES, PrecisionScheme
from profiler.projection.stored_bytes import is_converted, is_weight, named_specs, stored_bytes
from profiler.values.records import ITEMSIZE, TensorSpec, tensors

if TYPE_CHECKING:
    from profiler.tally import Entry, Profile

#: Operators that read only some rows of a parameter.
_LOOKUPS = frozenset(
    {"aten.embedding", "aten._embedding_bag", "aten.embedding_bag", "aten._embedding_bag_forward_only"}
)


def compulsory_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Return the memory traffic that no implementation of the pass avoids.

    It reads each used parameter and each input once, and writes each result of the model once; everything else could
    stay on the chip. Of an embedding table only the rows that are looked up count. A device whose cache holds the
    parameters from one pass to the next needs less.
    """
    width = STORED_BYTES[scheme.activations]
    inputs = sum(stored_bytes(spec, scheme, width) for _, value in profile.inputs for spec in tensors(value))
    outputs = sum(prod(shape) for module in profile.modules if not module.path for shape in module.outputs)
    return weight_bytes(profile, scheme) - _unread_table_bytes(profile, scheme) + int(inputs + outputs * width)


def weight_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Return the stored bytes of all parameters."""
    if profile.param_bytes is not None and not any(is_converted(dtype, scheme) for dtype, _ in profile.params_by_dtype):
        return profile.param_bytes
    total = 0.0
    for dtype, elements in profile.params_by_dtype:
        total += elements * (STORED_BYTES[scheme.weights] if is_converted(dtype, scheme) else ITEMSIZE[dtype])
    return int(total)


def activation_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Return the largest sum of an operator's operands and results, without weights: they are live together."""
    return max((_activation_bytes(entry, scheme) for entry in profile.entries), default=0)


def _activation_bytes(entry: Entry, scheme: PrecisionScheme) -> int:
    activations = (spec for name, spec in named_specs(entry) if not is_weight(entry, name))
    return int(sum(stored_bytes(spec, scheme, scheme.activation_bytes) for spec in activations))


def _unread_table_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Return the bytes of embedding tables that no look-up reads.

    A table that is tied to the weight of the last layer is read whole. Tables are identified by their size: which of
    several tables of one size is read whole makes no difference to the sum.
    """
    tables: dict[tuple[int, str], int] = {}
    for entry in profile.entries:
        weight = dict(entry.record.arguments).get("weight")
        if entry.record.packet in _LOOKUPS and isinstance(weight, TensorSpec):
            unread = max(weight.bytes - entry.bytes_read * entry.record.calls, 0)
            tables[weight.elements, weight.dtype] = unread
    total = 0.0
    for (elements, dtype), unread in tables.items():
        owners = sum(1 for module in profile.modules if module.params == elements)
        lookup_only = max(owners - _count_full_readers(profile, elements, dtype), 0)
        ratio = STORED_BYTES[scheme.weights] / ITEMSIZE[dtype] if is_converted(dtype, scheme) else 1
        total += lookup_only * unread * ratio
    return int(total)


def _count_full_readers(profile: Profile, elements: int, dtype: str) -> int:
    """Count the modules with a contraction that reads a whole operand of this size and dtype."""
    readers = {
        entry.record.module
        for entry in profile.entries
        if entry.record.packet not in _LOOKUPS and entry.macs
        for name, spec in named_specs(entry)
        if name and spec.elements == elements and spec.dtype == dtype
    }
    return len(readers)
