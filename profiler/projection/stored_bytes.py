"""Bytes of operands and results in a precision scheme, which may differ from that of the profiled run."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.projection.precision import STORED_BYTES, PrecisionScheme
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.tally import Entry

#: Arguments that hold a contraction's weights, except for products of two activations (``bmm``).
_WEIGHT_NAMES = frozenset({"weight", "mat2"})
_ACTIVATION_PRODUCTS = frozenset({"aten.bmm", "aten.baddbmm", "aten.matmul"})
#: Dimensions of the operands of fused attention: batch, heads, tokens, features.
_ATTENTION_DIMS = 4
#: The scores of attention without a fused kernel are written, read and written by softmax, and read again.
_SCORE_PASSES = 4
_CONVERTED_DTYPES = frozenset({"float64", "float32", "bfloat16", "float16"})


def is_converted(dtype: str, scheme: PrecisionScheme) -> bool:
    """Return whether tensors of a dtype are stored in the scheme's precision, and not as they were profiled."""
    return scheme.converts and dtype in _CONVERTED_DTYPES


def stored_bytes(spec: TensorSpec, scheme: PrecisionScheme, width: float) -> float:
    """Return the bytes of a tensor, of *width* bytes an element if it is converted."""
    return spec.elements * width if is_converted(spec.dtype, scheme) else spec.bytes


def named_specs(entry: Entry) -> Iterable[tuple[str, TensorSpec]]:
    """Yield operands with the names of their arguments, and new results with an empty name."""
    record = entry.record
    for name, value in record.arguments:
        for spec in tensors(value):
            yield name, spec
    for position, value in enumerate(record.results):
        if position not in record.aliases:
            for spec in tensors(value):
                yield "", spec


def is_weight(entry: Entry, name: str) -> bool:
    """Return whether the argument *name* of a call is a weight."""
    return name in _WEIGHT_NAMES and entry.record.packet not in _ACTIVATION_PRODUCTS


def element_bytes(entry: Entry, name: str, scheme: PrecisionScheme) -> float:
    """Return the bytes of an element of the argument *name*, or of a result if *name* is empty."""
    if is_weight(entry, name):
        return STORED_BYTES[scheme.weights]
    if entry.macs and name and scheme.quantises:
        return STORED_BYTES[scheme.activations]
    return scheme.activation_bytes


def traffic_ratio(entry: Entry, scheme: PrecisionScheme) -> float:
    """Return the bytes of operands and results in *scheme*, relative to those of the profiled run."""
    if not scheme.converts:
        return 1.0
    before = after = 0.0
    for name, spec in named_specs(entry):
        before += spec.bytes
        after += stored_bytes(spec, scheme, element_bytes(entry, name, scheme))
    return after / before if before else 1.0


def quantise_bytes(entry: Entry, scheme: PrecisionScheme) -> int:
    """Return the bytes of reading a contraction's activations in 16 bits and writing them in the narrow precision."""
    if not scheme.quantises or scheme.stays_narrow:
        return 0
    activations = [
        spec
        for name, spec in named_specs(entry)
        if name and not is_weight(entry, name) and len(spec.shape) > 1 and is_converted(spec.dtype, scheme)
    ]
    return int(sum(spec.elements * (2 + STORED_BYTES[scheme.activations]) for spec in activations))


def score_bytes(entry: Entry, scheme: PrecisionScheme) -> int:
    """Return the bytes of attention's scores where no fused kernel takes the operands, so that they reach memory.

    PyTorch's fused kernels take batch, heads, tokens and features, without the batch too. Operands with windows in a
    fifth dimension are multiplied in three kernels. Source: check_tensor_shapes in
    aten/src/ATen/native/transformers/sdp_utils_cpp.h.
    """
    arguments = dict(entry.record.arguments)
    query, key = arguments.get("query"), arguments.get("key")
    if entry.record.packet != "aten.scaled_dot_product_attention":
        return 0
    if not isinstance(query, TensorSpec) or not isinstance(key, TensorSpec) or len(query.shape) <= _ATTENTION_DIMS:
        return 0
    width = element_bytes(entry, "query", scheme) if is_converted(query.dtype, scheme) else query.itemsize
    return int(_SCORE_PASSES * prod(query.shape[:-1]) * key.shape[-2] * width)
