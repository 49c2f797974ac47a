"""``Device``: the peak rates, memory and power of a device, and how reliable each figure is.

Rates are dense and count a multiply-add as two operations. They are those of the matrix unit, if there is one, with
fp32 accumulation if the device offers a choice; ``fp32`` and ``fp64`` are those of the vector unit. A rate that is not
listed is unsupported, unpublished or disputed: it is never inferred from another precision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt

from profiler.errors import DeviceError

Precision = Literal["fp64", "fp64_tensor", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4", "fp4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Confidence = Literal["high", "medium", "low", "measured"]
_STRICT = ConfigDict(extra="forbid")
#: A rate, a size or a clock: any that a device or a system could have, so that what is computed from it is finite.
Amount = Annotated[PositiveFloat, Field(ge=1e-6, le=1e30)]
#: Precisions that every device computes on its vector unit.
_VECTOR: tuple[Precision, ...] = ("fp64", "fp32")
_OF_16_BITS: tuple[Precision, ...] = ("fp16", "bf16")


@dataclass(frozen=True, slots=True)
class Source:
    """A publication that states figures of a device."""

    __pydantic_config__ = _STRICT

    title: str
    url: str | None = None
    #: False if nothing was read: the figures are quoted from memory.
    read: bool = True


@dataclass(frozen=True, slots=True)
class HardwareParameters:
    """Hardware parameters of a device, for cross-checking its peak rates and bandwidth.

    Source: copies of the TechPowerUp GPU database.
    """

    __pydantic_config__ = _STRICT

    bus_bits: PositiveInt | None = None
    pin_gbit_per_s: Amount | None = None
    #: Vector lanes, and fp32 operations per lane and clock: 2 for a multiply-add, 4 with dual issue.
    lanes: PositiveInt | None = None
    lane_ops: PositiveInt = 2
    lane_mhz: Amount | None = None
    #: Matrix units, and operations per unit and clock with fp16 operands and fp32 accumulation.
    matrix_units: PositiveInt | None = None
    matrix_fp16_ops: PositiveInt | None = None
    matrix_mhz: Amount | None = None

    @property
    def bandwidth_bytes_per_s(self) -> float | None:
        """Bandwidth: bus width × data rate per pin."""
        if self.bus_bits is None or self.pin_gbit_per_s is None:
            return None
        return self.bus_bits / 8 * self.pin_gbit_per_s * 1e9

    @property
    def fp32_ops_per_s(self) -> float | None:
        """Peak fp32 rate: lanes × operations per clock × clock."""
        return None if self.lanes is None or self.lane_mhz is None else self.lanes * self.lane_ops * self.lane_mhz * 1e6

    @property
    def fp16_ops_per_s(self) -> float | None:
        """Peak fp16 rate: matrix units × operations per clock × clock."""
        if self.matrix_units is None or self.matrix_fp16_ops is None or self.matrix_mhz is None:
            return None
        return self.matrix_units * self.matrix_fp16_ops * self.matrix_mhz * 1e6


@dataclass(frozen=True, slots=True)
class Device:
    """One entry of the catalogue: a device, or a system of several."""

    __pydantic_config__ = _STRICT

    id: str
    name: str
    vendor: str
    kind: str
    year: PositiveInt
    confidence: Confidence
    sources: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    #: The vendor's GB, read as GiB. If the memory is shared with the CPU: the largest configuration on sale.
    memory_gib: Amount | None = None
    bandwidth_bytes_per_s: Amount | None = None
    power_w: Amount | None = None
    peak_ops_per_s: dict[Precision, Amount] = field(default_factory=dict)
    sparse_ops_per_s: dict[Precision, Amount] = field(default_factory=dict)
    vector_ops_per_s: dict[Precision, Amount] = field(default_factory=dict)
    #: Rates with fp16 accumulation, which inference engines use, and PyTorch does not by default.
    fp16_sum_ops_per_s: dict[Precision, Amount] = field(default_factory=dict)
    #: The fastest product of matrices that was measured, by the precision of its operands; of several figures the
    #: lowest, which is sustained.
    product_ops_per_s: dict[Precision, Amount] = field(default_factory=dict)
    #: Precisions in ``peak_ops_per_s``, beside fp32 and fp64, that the vector unit computes.
    vector_precisions: tuple[Precision, ...] = ()
    #: The int8 rate of each engine, if the int8 peak is the sum of several engines.
    int8_engines: dict[str, Amount] = field(default_factory=dict)
    #: Rates that fit no field above: of an engine that PyTorch cannot use, or without a stated precision.
    unreached_ops_per_s: dict[str, Amount] = field(default_factory=dict)
    #: Figures that a document prints and that differ from the catalogue's.
    quoted: dict[str, Amount] = field(default_factory=dict)
    parts: HardwareParameters | None = None
    #: Whether it is part of a laptop's processor.
    laptop: bool = False
    #: Fields and precisions whose figure was read in no source; ``all`` stands for every figure.
    not_read: tuple[str, ...] = ()
    note: str = ""
    #: Number of devices in a system, and the id of that device; the figures of a system are sums over its devices.
    count: PositiveInt = 1
    of: str | None = None

    def __post_init__(self) -> None:
        """Reject an entry without sources, and a product in a precision that has no rate."""
        if not self.sources:
            msg = "the entry names no source"
            raise ValueError(msg)
        if unknown := self.product_ops_per_s.keys() - self.peak_ops_per_s.keys():
            msg = f"product_ops_per_s has {', '.join(sorted(unknown))}, of which peak_ops_per_s has no rate"
            raise ValueError(msg)

    @property
    def memory_bytes(self) -> int | None:
        """Memory in bytes."""
        return None if self.memory_gib is None else int(self.memory_gib * 2**30)

    def peak(self, precision: str) -> float:
        """Return the dense peak rate in a precision, in operations per second.

        Raises:
            DeviceError: The device has no rate in this precision; the message lists the precisions that it has.

        Example:
            >>> from profiler.devices import find_device
            >>> find_device("l4").peak("int8")
            242000000000000.0
        """
        for name, rate in self.peak_ops_per_s.items():
            if name == precision:
                return rate
        has = ", ".join(self.peak_ops_per_s) or "none that any source agrees on"
        msg = f"{self.id} has no dense rate for {precision!r}; it has {has}"
        raise DeviceError(msg)

    def contraction_rate(self, precision: str, *, sums_in_fp16: bool = False) -> float:
        """Return the highest rate at which the device computes products of a precision, in operations per second.

        Numbers of 16 bits may be computed in fp32, which is faster where fp16 is slow.

        Args:
            precision: The precision of the operands.
            sums_in_fp16: Whether sums may be in fp16, as in inference engines, and not in PyTorch by default.

        Raises:
            DeviceError: The device has no rate in this precision.

        Example:
            >>> from profiler.devices import find_device
            >>> find_device("gtx-1080-ti").contraction_rate("fp16") == find_device("gtx-1080-ti").peak("fp32")
            True
            >>> find_device("rtx-3090").contraction_rate("fp16", sums_in_fp16=True)
            142300000000000.0
        """
        rates = [self.peak(precision)]
        if precision in _OF_16_BITS and "fp32" in self.peak_ops_per_s:
            rates.append(self.peak("fp32"))
        if sums_in_fp16:
            rates += [rate for name, rate in self.fp16_sum_ops_per_s.items() if name == precision]
        return max(rates)

    def reach(self, precision: str) -> float | None:
        """Return the largest share of the peak that a product of matrices was measured to reach.

        Of a precision in which none was measured, it is that of numbers of 16 bits. None for vector units, and for a
        device of which no product was measured.

        Example:
            >>> from profiler.devices import find_device
            >>> h100 = find_device("h100-sxm5-80gb")
            >>> [round(h100.reach(precision), 3) for precision in ("fp8", "bf16", "fp16", "int8")], h100.reach("fp32")
            ([0.709, 0.803, 0.803, 0.803], None)
        """
        measured = {str(name): rate / self.peak(name) for name, rate in self.product_ops_per_s.items()}
        if self.is_vector(precision) or not measured:
            return None
        return next((measured[name] for name in (precision, *_OF_16_BITS) if name in measured), None)

    def is_vector(self, precision: str) -> bool:
        """Return whether the vector unit computes a precision."""
        return precision in _VECTOR or precision in self.vector_precisions

    @property
    def vector_peak_ops_per_s(self) -> float | None:
        """The highest listed rate of the vector unit, fp64 aside; None if no rate is listed."""
        rates = [rate for name, rate in self.peak_ops_per_s.items() if self.is_vector(name) and name != "fp64"]
        return max([*rates, *self.vector_ops_per_s.values()], default=None)

    def ridge_ops_per_byte(self, precision: str) -> float | None:
        """Return the ridge point in operations per byte: peak ÷ bandwidth. None if the bandwidth is unknown.

        A kernel of higher arithmetic intensity is limited by compute, one of lower intensity by bandwidth.

        Raises:
            DeviceError: The device has no rate in this precision.
        """
        bandwidth = self.bandwidth_bytes_per_s
        return None if bandwidth is None else self.peak(precision) / bandwidth

    def cite(self, figure: str) -> str:
        """Return a citation of the source of *figure*, marked if its confidence is not high.

        Sources are listed per device, not per figure: the citation names the first that was read, and counts the rest.

        Args:
            figure: A precision, or "memory", "bandwidth" or "power".
        """
        titles = [source.title for source in self.sources if source.read]
        if figure in self.not_read or "all" in self.not_read or not titles:
            return f"{figure}: from memory, low confidence"
        mark = f", {self.confidence} confidence" if self.confidence in {"low", "medium"} else ""
        more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
        return f"{figure}: {titles[0]}{more}{mark}"
