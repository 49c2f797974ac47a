"""What a device is: peaks by precision, memory, power; and how far each figure can be trusted.

Rates are dense and count a multiply-add as two operations, with sums in fp32 where the device has the choice, and on
the matrix unit where it has one; ``fp32`` and ``fp64`` are those of the vector unit. A rate that is not listed is
unsupported, unpublished or disputed: it is never filled in from another precision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from pydantic import ConfigDict, PositiveFloat, PositiveInt

from profiler.errors import DeviceError

Precision = Literal["fp64", "fp64_tensor", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4", "fp4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Confidence = Literal["high", "medium", "low", "measured"]
_STRICT = ConfigDict(extra="forbid")
#: Precisions of the vector unit, on every device.
_VECTOR: tuple[Precision, ...] = ("fp64", "fp32")


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures were read."""

    __pydantic_config__ = _STRICT

    title: str
    url: str | None = None
    #: False where nothing was read: the figure is from memory.
    read: bool = True


@dataclass(frozen=True, slots=True)
class Parts:
    """A second road to the figures: what the device is made of. The copies of the TechPowerUp database have these."""

    __pydantic_config__ = _STRICT

    bus_bits: PositiveInt | None = None
    pin_gbit_per_s: PositiveFloat | None = None
    #: Vector lanes, and the operations of one in a clock: two, a multiply-add; four where it issues twice.
    lanes: PositiveInt | None = None
    lane_ops: PositiveInt = 2
    lane_mhz: PositiveFloat | None = None
    #: Matrix units, and the operations of one in a clock with fp16 operands and fp32 sums.
    matrix_units: PositiveInt | None = None
    matrix_fp16_ops: PositiveInt | None = None
    matrix_mhz: PositiveFloat | None = None

    @property
    def bandwidth_bytes_per_s(self) -> float | None:
        """Bus width × pin rate."""
        if self.bus_bits is None or self.pin_gbit_per_s is None:
            return None
        return self.bus_bits / 8 * self.pin_gbit_per_s * 1e9

    @property
    def fp32_ops_per_s(self) -> float | None:
        """Lanes × operations × clock."""
        return None if self.lanes is None or self.lane_mhz is None else self.lanes * self.lane_ops * self.lane_mhz * 1e6

    @property
    def fp16_ops_per_s(self) -> float | None:
        """Matrix units × operations × clock."""
        if self.matrix_units is None or self.matrix_fp16_ops is None or self.matrix_mhz is None:
            return None
        return self.matrix_units * self.matrix_fp16_ops * self.matrix_mhz * 1e6


@dataclass(frozen=True, slots=True)
class Device:
    """One entry of the catalogue."""

    __pydantic_config__ = _STRICT

    id: str
    name: str
    vendor: str
    kind: str
    year: PositiveInt
    confidence: Confidence
    sources: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    #: The vendor's GB read as GiB; the largest configuration of a part whose memory is shared with the CPU.
    memory_gib: PositiveFloat | None = None
    bandwidth_bytes_per_s: PositiveFloat | None = None
    power_w: PositiveFloat | None = None
    peak_ops_per_s: dict[Precision, PositiveFloat] = field(default_factory=dict)
    sparse_ops_per_s: dict[Precision, PositiveFloat] = field(default_factory=dict)
    vector_ops_per_s: dict[Precision, PositiveFloat] = field(default_factory=dict)
    #: With sums in fp16, which PyTorch does not use.
    fp16_sum_ops_per_s: dict[Precision, PositiveFloat] = field(default_factory=dict)
    #: Precisions in ``peak_ops_per_s`` beside fp32 and fp64 for which there is no matrix unit.
    vector_precisions: tuple[Precision, ...] = ()
    #: Units that share the int8 peak.
    int8_engines: dict[str, PositiveFloat] = field(default_factory=dict)
    #: Rates that no entry above can hold: of a unit that PyTorch does not reach, or of no stated precision.
    unreached_ops_per_s: dict[str, PositiveFloat] = field(default_factory=dict)
    #: Figures of it that a document prints, where they are not the catalogue's.
    quoted: dict[str, PositiveFloat] = field(default_factory=dict)
    parts: Parts | None = None
    #: Fields and precisions that were read in no source; ``all`` stands for every figure.
    not_read: tuple[str, ...] = ()
    note: str = ""
    #: How many of them an entry is: of a system, more than one, and its figures are the sums.
    count: PositiveInt = 1
    of: str | None = None

    def __post_init__(self) -> None:
        """Refuse an entry that says nowhere where its figures come from."""
        if not self.sources:
            msg = "it names no source"
            raise ValueError(msg)

    @property
    def memory_bytes(self) -> int | None:
        """Bytes of memory."""
        return None if self.memory_gib is None else int(self.memory_gib * 2**30)

    def peak(self, precision: str) -> float:
        """Give the dense peak in a precision, in operations per second.

        Raises:
            DeviceError: The device lacks it; the message lists those that it has.
        """
        for name, rate in self.peak_ops_per_s.items():
            if name == precision:
                return rate
        has = ", ".join(self.peak_ops_per_s) or "none that any source agrees on"
        msg = f"{self.id} has no dense rate for {precision!r}; it has {has}"
        raise DeviceError(msg)

    def is_vector(self, precision: str) -> bool:
        """Say whether a precision computes on the vector unit."""
        return precision in _VECTOR or precision in self.vector_precisions

    @property
    def vector_peak(self) -> float | None:
        """The fastest rate on record for work outside contractions, in operations per second; None where none is."""
        listed = [rate for name, rate in self.peak_ops_per_s.items() if self.is_vector(name) and name != "fp64"]
        return max([*listed, *self.vector_ops_per_s.values()], default=None)

    def ridge(self, precision: str) -> float | None:
        """Give the operations per byte above which compute is the limit; None where the bandwidth is not known."""
        bandwidth = self.bandwidth_bytes_per_s
        return None if bandwidth is None else self.peak(precision) / bandwidth

    def cite(self, figure: str) -> str:
        """Say where a figure comes from, and mark it where it should not be trusted much.

        Sources are kept by device, not by figure: the first that was read is named, and how many more there are.
        """
        read = [source.title for source in self.sources if source.read]
        unread = figure in self.not_read or "all" in self.not_read or not read
        if unread:
            return f"{figure}: from memory, low confidence"
        mark = f", {self.confidence} confidence" if self.confidence in {"low", "medium"} else ""
        more = f" and {len(read) - 1} more" if len(read) > 1 else ""
        return f"{figure}: {read[0]}{more}{mark}"
