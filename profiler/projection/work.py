"""The work of an operator call, or of a whole pass, in a precision scheme: operations per engine, and bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from profiler.formulas import RuleKind
from profiler.projection.fusion import Kernel, fuse, kernel_class
from profiler.projection.mode import UNMERGED
from profiler.projection.operator_classes import classify
from profiler.projection.precision import PRECISION_OF_DTYPE, STORED_BYTES, PrecisionScheme
from profiler.values.records import ITEMSIZE, TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from profiler.projection.mode import Mode
    from profiler.tally import Entry, Profile

#: Arguments that hold a contraction's weights, except for products of two activations (``bmm``).
_WEIGHT_NAMES = frozenset({"weight", "mat2"})
_ACTIVATION_PRODUCTS = frozenset({"aten.bmm", "aten.baddbmm", "aten.matmul"})
#: Operators that read only some rows of a parameter.
_LOOKUPS = frozenset(
    {"aten.embedding", "aten._embedding_bag", "aten.embedding_bag", "aten._embedding_bag_forward_only"}
)
_MAX_NAMES = 4
_CONVERTED_DTYPES = frozenset({"float64", "float32", "bfloat16", "float16"})


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one call of an operator, and how often it is called."""

    operator: str
    dtype: str
    calls: int
    #: The precision of contractions; None for a dtype for which no device lists a rate.
    precision: str | None
    #: Operations of contractions: two per unmasked MAC.
    ops: int
    #: All other arithmetic, one operation each.
    vector_ops: int
    #: Bytes of operands and results.
    bytes: int
    #: Extra traffic if activations are quantised by a separate operator, which reads them wide and writes them narrow.
    quantise_bytes: int
    #: Whether the call launches a kernel; a view does not.
    is_kernel: bool
    #: Its class: see ``operator_classes``.
    class_: str = "other"
    #: The operators that the call runs: indices of ``Profile.entries``. A merged kernel runs several.
    records: tuple[int, ...] = ()

    @property
    def is_depthwise(self) -> bool:
        """Whether it is a convolution with one input channel per group."""
        return self.class_.startswith("depthwise")

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution of any kind."""
        return self.is_depthwise or self.class_.startswith("conv")


def operator_work(profile: Profile, scheme: PrecisionScheme, mode: Mode = "eager") -> list[Work]:
    """Return the work of every distinct kernel of a profile: where none are merged, of every distinct operator call."""
    if mode == "deployed":
        scheme = replace(scheme, stays_narrow=True)
    works = [_work(i, entry, scheme) for i, entry in enumerate(profile.entries)]
    if mode in UNMERGED:
        return works
    kernels = Counter(fuse(profile, deployed=mode == "deployed"))
    fused_calls: Counter[int] = Counter()
    for kernel, calls in kernels.items():
        fused_calls.update({record: calls * n for record, n in Counter(kernel.records).items()})
    rest = (replace(work, calls=work.calls - fused_calls[i]) for i, work in enumerate(works))
    fused = (_fused_work(kernel, calls, profile, works, scheme) for kernel, calls in kernels.items())
    return [work for work in (*fused, *rest) if work.calls]


def _fused_work(kernel: Kernel, calls: int, profile: Profile, works: Sequence[Work], scheme: PrecisionScheme) -> Work:
    """Return the work of a kernel that merges operators: the sum of their arithmetic, and the bytes that remain."""
    members = [works[record] for record in kernel.records]
    main = max(members, key=lambda work: work.ops)
    operands = [(profile.entries[record], name, spec) for record, name, spec in kernel.operands]
    return replace(
        main,
        operator=_label([work.operator for work in members]),
        calls=calls,
        ops=sum(work.ops for work in members),
        vector_ops=sum(work.vector_ops for work in members),
        bytes=int(sum(_stored_bytes(spec, scheme, _element_bytes(e, name, scheme)) for e, name, spec in operands)),
        quantise_bytes=sum(work.quantise_bytes for work in members),
        class_=kernel_class([work.class_ for work in members]),
        records=kernel.records,
    )


def _label(operators: Sequence[str]) -> str:
    """Return the name of a kernel: that of its operator, or the names of several without their library."""
    names = list(dict.fromkeys(operators))
    if len(names) == 1:
        return names[0]
    short = [name.partition(".")[2].removeprefix("native_") for name in names]
    return " + ".join(short if len(short) <= _MAX_NAMES else [*short[: _MAX_NAMES - 1], "…"])


def compulsory_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Return the memory traffic that no implementation of the pass avoids.

    It reads each used parameter and each input once, and writes each result of the model once; everything else could
    stay on the chip. Of an embedding table only the rows that are looked up count. A device whose cache holds the
    parameters from one pass to the next needs less.
    """
    width = STORED_BYTES[scheme.activations]
    inputs = sum(_stored_bytes(spec, scheme, width) for _, value in profile.inputs for spec in tensors(value))
    outputs = sum(prod(shape) for module in profile.modules if not module.path for shape in module.outputs)
    return weight_bytes(profile, scheme) - _unread_table_bytes(profile, scheme) + int(inputs + outputs * width)


def weight_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Return the stored bytes of all parameters."""
    if profile.param_bytes is not None and not any(
        _is_converted(dtype, scheme) for dtype, _ in profile.params_by_dtype
    ):
        return profile.param_bytes
    total = 0.0
    for dtype, elements in profile.params_by_dtype:
        total += elements * (STORED_BYTES[scheme.weights] if _is_converted(dtype, scheme) else ITEMSIZE[dtype])
    return int(total)


def activation_bytes(profile: Profile, scheme: PrecisionScheme) -> int:
    """Return the largest sum of an operator's operands and results, without weights: they are live together."""
    return max((_activation_bytes(entry, scheme) for entry in profile.entries), default=0)


def _work(index: int, entry: Entry, scheme: PrecisionScheme) -> Work:
    record = entry.record
    is_contraction = entry.macs > 0
    traffic = entry.bytes_read + entry.bytes_written
    return Work(
        operator=record.packet,
        dtype=entry.dtype,
        calls=record.calls,
        precision=scheme.compute if _is_converted(entry.dtype, scheme) else PRECISION_OF_DTYPE.get(entry.dtype),
        ops=2 * entry.masked_macs,
        vector_ops=entry.other_flops + entry.transcendentals,
        bytes=int(traffic * _traffic_ratio(entry, scheme)),
        quantise_bytes=_quantise_bytes(entry, scheme) if is_contraction else 0,
        is_kernel=entry.kind != RuleKind.FREE and (traffic > 0 or is_contraction),
        class_=classify(entry),
        records=(index,),
    )


def _is_converted(dtype: str, scheme: PrecisionScheme) -> bool:
    return scheme.converts and dtype in _CONVERTED_DTYPES


def _traffic_ratio(entry: Entry, scheme: PrecisionScheme) -> float:
    """Return the bytes of operands and results in *scheme*, relative to those of the profiled run."""
    if not scheme.converts:
        return 1.0
    before = after = 0.0
    for name, spec in _named_specs(entry):
        before += spec.bytes
        after += _stored_bytes(spec, scheme, _element_bytes(entry, name, scheme))
    return after / before if before else 1.0


def _element_bytes(entry: Entry, name: str, scheme: PrecisionScheme) -> float:
    """Return the bytes of an element of the argument *name*, or of a result if *name* is empty."""
    if _is_weight(entry, name):
        return STORED_BYTES[scheme.weights]
    if entry.macs and name and scheme.quantises:
        return STORED_BYTES[scheme.activations]
    return scheme.activation_bytes


def _is_weight(entry: Entry, name: str) -> bool:
    return name in _WEIGHT_NAMES and entry.record.packet not in _ACTIVATION_PRODUCTS


def _quantise_bytes(entry: Entry, scheme: PrecisionScheme) -> int:
    """Return the bytes of reading a contraction's activations in 16 bits and writing them in the narrow precision."""
    if not scheme.quantises or scheme.stays_narrow:
        return 0
    activations = [
        spec
        for name, spec in _named_specs(entry)
        if name and not _is_weight(entry, name) and len(spec.shape) > 1 and _is_converted(spec.dtype, scheme)
    ]
    return int(sum(spec.elements * (2 + STORED_BYTES[scheme.activations]) for spec in activations))


def _activation_bytes(entry: Entry, scheme: PrecisionScheme) -> int:
    activations = (spec for name, spec in _named_specs(entry) if not _is_weight(entry, name))
    return int(sum(_stored_bytes(spec, scheme, scheme.activation_bytes) for spec in activations))


def _named_specs(entry: Entry) -> Iterable[tuple[str, TensorSpec]]:
    """Yield operands with the names of their arguments, and new results with an empty name."""
    record = entry.record
    for name, value in record.arguments:
        for spec in tensors(value):
            yield name, spec
    for position, value in enumerate(record.results):
        if position not in record.aliases:
            for spec in tensors(value):
                yield "", spec


def _stored_bytes(spec: TensorSpec, scheme: PrecisionScheme, width: float) -> float:
    return spec.elements * width if _is_converted(spec.dtype, scheme) else spec.bytes


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
        ratio = STORED_BYTES[scheme.weights] / ITEMSIZE[dtype] if _is_converted(dtype, scheme) else 1
        total += lookup_only * unread * ratio
    return int(total)


def _count_full_readers(profile: Profile, elements: int, dtype: str) -> int:
    """Count the modules with a contraction that reads a whole operand of this size and dtype."""
    readers = {
        entry.record.module
        for entry in profile.entries
        if entry.record.packet not in _LOOKUPS and entry.macs
        for name, spec in _named_specs(entry)
        if name and spec.elements == elements and spec.dtype == dtype
    }
    return len(readers)
