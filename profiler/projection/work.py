"""The work of an operator call, or of a whole pass, in a precision scheme: operations per engine, and bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.formulas import RuleKind
from profiler.projection.fusion import Kernel, fuse, kernel_class
from profiler.projection.memory_formats import channels_last_records, serial_images
from profiler.projection.mode import UNMERGED
from profiler.projection.operator_classes import CHANNELS_LAST, classify
from profiler.projection.precision import PRECISION_OF_DTYPE, PrecisionScheme
from profiler.projection.stored_bytes import (
    element_bytes,
    is_converted,
    quantise_bytes,
    score_bytes,
    stored_bytes,
    traffic_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.tally import Entry, Profile

_MAX_NAMES = 4


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
    #: Extra traffic of attention without a fused kernel: its scores.
    score_bytes: int = 0
    #: Whether products may be summed in fp16, as inference engines do.
    sums_in_fp16: bool = False
    #: Loads that each thread waits for, one after another, for want of threads.
    waits: int = 0
    #: The operators that the call runs: indices of ``Profile.entries``. A merged kernel runs several.
    records: tuple[int, ...] = ()

    def rate_on(self, device: Device) -> float | None:
        """Return the peak rate of its contractions on a device; None if there is none in its precision."""
        if self.precision not in device.peak_ops_per_s:
            return None
        return device.contraction_rate(self.precision, sums_in_fp16=self.sums_in_fp16)

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
        return _in_memory_formats(works, profile, mode)
    kernels = Counter(fuse(profile, deployed=mode == "deployed"))
    fused_calls: Counter[int] = Counter()
    for kernel, calls in kernels.items():
        fused_calls.update({record: calls * n for record, n in Counter(kernel.records).items()})
    rest = (replace(work, calls=work.calls - fused_calls[i]) for i, work in enumerate(works))
    fused = (_fused_work(kernel, calls, profile, works, scheme) for kernel, calls in kernels.items())
    return [work for work in (*fused, *rest) if work.calls]


def _in_memory_formats(works: list[Work], profile: Profile, mode: Mode) -> list[Work]:
    """Return the works with what depends on the memory format of their images."""
    last = channels_last_records(profile, converted=mode == "channels_last")
    changed = list(works)
    for i, (work, entry) in enumerate(zip(works, profile.entries, strict=True)):
        if work.is_depthwise and mode == "eager" and i in last:
            changed[i] = replace(work, class_=work.class_ + CHANNELS_LAST)
        elif i not in last and (images := serial_images(entry)):
            changed[i] = replace(work, waits=images)
    return changed


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
        bytes=int(sum(stored_bytes(spec, scheme, element_bytes(e, name, scheme)) for e, name, spec in operands)),
        quantise_bytes=sum(work.quantise_bytes for work in members),
        score_bytes=sum(work.score_bytes for work in members),
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


def _work(index: int, entry: Entry, scheme: PrecisionScheme) -> Work:
    record = entry.record
    is_contraction = entry.macs > 0
    traffic = entry.bytes_read + entry.bytes_written
    return Work(
        operator=record.packet,
        dtype=entry.dtype,
        calls=record.calls,
        precision=scheme.compute if is_converted(entry.dtype, scheme) else PRECISION_OF_DTYPE.get(entry.dtype),
        ops=2 * entry.masked_macs,
        vector_ops=entry.other_flops + entry.transcendentals,
        bytes=int(traffic * traffic_ratio(entry, scheme)),
        quantise_bytes=quantise_bytes(entry, scheme) if is_contraction else 0,
        is_kernel=entry.kind != RuleKind.FREE and (traffic > 0 or is_contraction),
        class_=classify(entry),
        score_bytes=score_bytes(entry, scheme),
        sums_in_fp16=scheme.stays_narrow,
        records=(index,),
    )
