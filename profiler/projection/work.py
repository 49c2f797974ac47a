"""What an operator, and a whole pass, asks of a device in a scheme: operations by engine, and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.projection.precision import PRECISION_OF_DTYPE, STORED_BYTES, PrecisionScheme
from profiler.values.records import ITEMSIZE, TensorSpec, Value, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.tally import Entry, Profile

#: Arguments that hold a contraction's weights; those of a product of two activations (``bmm``) are none.
_WEIGHT_NAMES = frozenset({"weight", "mat2"})
_PRODUCTS = frozenset({"aten.bmm", "aten.baddbmm", "aten.matmul"})
#: Operators that read only some rows of a parameter.
_LOOKUPS = frozenset(
    {"aten.embedding", "aten._embedding_bag", "aten.embedding_bag", "aten._embedding_bag_forward_only"}
)


@dataclass(frozen=True, slots=True)
class Work:
    """One call of an operator."""

    operator: str
    dtype: str
    calls: int
    #: What contractions compute in; None for a dtype of which no device lists a rate.
    precision: str | None
    #: Two for each MAC that the mask leaves.
    ops: int
    #: All other arithmetic, one for each.
    vector_ops: int
    #: Operands and results.
    bytes: int
    #: Extra traffic where activations have to be quantised by an operator of its own: read wide, write narrow.
    quantise_bytes: int
    #: Whether it does anything at all: a view does not.
    is_kernel: bool
    #: Groups over channels of one input: 1 for a dense contraction.
    is_depthwise: bool = False
    is_convolution: bool = False


def work_of(profile: Profile, scheme: PrecisionScheme) -> list[Work]:
    """List the work of every distinct operator call."""
    return [_work(entry, scheme) for entry in profile.entries]


def compulsory_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Count the bytes that a pass cannot do without: parameters that it uses, inputs and results, once each.

    All else could stay on the chip. Parameters are read from memory in every pass: a device whose cache keeps them
    between passes can beat this. Of a table of embeddings only what a look-up picks is counted.
    """
    inputs = sum(
        _stored(spec, scheme, STORED_BYTES[scheme.activations]) for _, v in profile.inputs for spec in tensors(v)
    )
    width = STORED_BYTES[scheme.activations]
    outputs = sum(_elements(shape) for module in profile.modules if not module.path for shape in module.outputs)
    return weight_bytes(profile, scheme) - _untouched(profile, scheme) + int(inputs + outputs * width)


def weight_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Count the bytes of all parameters in store."""
    total = 0.0
    for dtype, elements in profile.params_by_dtype:
        total += elements * (STORED_BYTES[scheme.weights] if _converted(dtype, scheme) else ITEMSIZE[dtype])
    return int(total)


def activation_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Count the operands and results, weights left out, of the operator that has most: they live at the same time."""
    return max((_activations(entry, scheme) for entry in profile.entries), default=0)


def _work(entry: Entry, scheme: PrecisionScheme) -> Work:
    record = entry.record
    contraction = entry.macs > 0
    arguments = dict(record.arguments)
    groups = arguments.get("groups")
    moved = entry.bytes_read + entry.bytes_written
    return Work(
        operator=record.packet,
        dtype=entry.dtype,
        calls=record.calls,
        precision=_precision(entry, scheme),
        ops=2 * entry.masked_macs,
        vector_ops=entry.other_flops + entry.transcendentals,
        bytes=int(moved * _ratio(entry, scheme)),
        quantise_bytes=_quantise_bytes(entry, scheme) if contraction else 0,
        is_kernel=entry.kind != "free" and (moved > 0 or contraction),
        is_depthwise=isinstance(groups, int) and groups > 1 and _channels(arguments) <= _NARROW_GROUP * groups,
        is_convolution="convolution" in record.packet,
    )


#: Input channels of a group below which a grouped convolution has no matrix product worth the name.
_NARROW_GROUP = 4


def _channels(arguments: dict[str, Value]) -> int:
    """Count the input channels of a convolution ``(B, C, …)``."""
    source = arguments.get("input")
    return source.shape[1] if isinstance(source, TensorSpec) and len(source.shape) > 1 else 0


def _precision(entry: Entry, scheme: PrecisionScheme) -> str | None:
    return scheme.compute if _converted(entry.dtype, scheme) else PRECISION_OF_DTYPE.get(entry.dtype)


def _converted(dtype: str, scheme: PrecisionScheme) -> bool:
    return scheme.converts and dtype in {"float64", "float32", "bfloat16", "float16"}


def _ratio(entry: Entry, scheme: PrecisionScheme) -> float:
    """Say how much smaller operands and results become."""
    if not scheme.converts:
        return 1.0
    before = after = 0.0
    for name, spec in _specs(entry):
        before += spec.bytes
        after += _stored(spec, scheme, _width(entry, name, scheme))
    return after / before if before else 1.0


def _width(entry: Entry, name: str, scheme: PrecisionScheme) -> float:
    """Give the bytes of an element of an argument; a result has no name."""
    if _is_weight(entry, name):
        return STORED_BYTES[scheme.weights]
    if entry.macs and name and scheme.quantises:
        return STORED_BYTES[scheme.activations]
    return scheme.activation_bytes


def _is_weight(entry: Entry, name: str) -> bool:
    return name in _WEIGHT_NAMES and entry.record.packet not in _PRODUCTS


def _quantise_bytes(entry: Entry, scheme: PrecisionScheme) -> int:
    """Count reading a contraction's activations in 16 bits, and writing them narrow."""
    if not scheme.quantises:
        return 0
    sources = [
        s
        for n, s in _specs(entry)
        if n and not _is_weight(entry, n) and s.dtype in PRECISION_OF_DTYPE and len(s.shape) > 1
    ]
    return int(sum(s.elements * (2 + STORED_BYTES[scheme.activations]) for s in sources if _converted(s.dtype, scheme)))


def _activations(entry: Entry, scheme: PrecisionScheme) -> int:
    fresh = ((n, s) for n, s in _specs(entry) if not _is_weight(entry, n))
    return int(sum(_stored(spec, scheme, scheme.activation_bytes) for _, spec in fresh))


def _specs(entry: Entry) -> Iterable[tuple[str, TensorSpec]]:
    """List operands by the names of their arguments, and results under an empty name."""
    record = entry.record
    for name, value in record.arguments:
        for spec in tensors(value):
            yield name, spec
    for at, value in enumerate(record.results):
        if at not in record.aliases:
            for spec in tensors(value):
                yield "", spec


def _stored(spec: TensorSpec, scheme: PrecisionScheme, width: float) -> float:
    return spec.elements * width if _converted(spec.dtype, scheme) else spec.bytes


def _untouched(profile: Profile, scheme: PrecisionScheme) -> int:
    """Count the bytes of embedding tables of which look-ups read only some rows, and that nothing reads whole.

    A table whose transpose is also the last layer's weight is read whole; which of several tables of one size that is
    does not matter.
    """
    tables: dict[tuple[int, str], int] = {}
    for entry in profile.entries:
        weight = dict(entry.record.arguments).get("weight")
        if entry.record.packet in _LOOKUPS and isinstance(weight, TensorSpec):
            unread = max(weight.bytes - entry.bytes_read * entry.record.calls, 0)
            tables[weight.elements, weight.dtype] = unread
    untouched = 0.0
    for (elements, dtype), unread in tables.items():
        holders = sum(1 for module in profile.modules if module.params == elements)
        spare = max(holders - _whole_reads(profile, elements, dtype), 0)
        width = STORED_BYTES[scheme.weights] / ITEMSIZE[dtype] if _converted(dtype, scheme) else 1
        untouched += spare * unread * width
    return int(untouched)


def _whole_reads(profile: Profile, elements: int, dtype: str) -> int:
    """Count the modules that read a whole operand of this size outside a look-up."""
    readers = {
        entry.record.module
        for entry in profile.entries
        if entry.record.packet not in _LOOKUPS and entry.macs
        for name, spec in _specs(entry)
        if name and spec.elements == elements and spec.dtype == dtype
    }
    return len(readers)


def _elements(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
