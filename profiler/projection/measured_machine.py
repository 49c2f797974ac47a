"""A machine whose rates were measured: a device, and how to estimate times on it.

The highest rates are the peaks for the bound; the rates by size give the estimate.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from profiler.devices import Device, Source
from profiler.projection.microbenchmarks import Curve
from profiler.projection.time_table import TimeParts

if TYPE_CHECKING:
    from profiler.devices import Precision
    from profiler.projection.validation import Validation
    from profiler.projection.work import Work

LOCAL = "local"
_PRECISIONS: dict[str, Precision] = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
#: Bytes of operands that exceed the caches of most processors. On a processor with larger caches the bandwidth comes
#: out too high, and the bound remains a bound.
_BEYOND_CACHE = 64 * 2**20


@dataclass(frozen=True, slots=True)
class MeasuredMachine:
    """The measured rates of a machine; also the ``TimeModel`` that estimates times from them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    identity: dict[str, str]
    date: str
    memory_bytes: int
    #: FLOP/s of matrix products by FLOPs of one call, for each dtype.
    gemm: dict[str, Curve]
    #: FLOP/s of dense and of depthwise float32 convolutions, by FLOPs of one call.
    convolution: Curve
    depthwise: Curve
    #: Bytes/s by bytes of one call.
    bandwidth: Curve
    #: Seconds of an operator on next to no data.
    floor_s: float

    @property
    def device(self) -> Device:
        """The machine in the form of a catalogue entry."""
        name = f"{self.identity['processor']}, {self.identity['threads']} threads"
        source = f"measured on {name}, torch {self.identity['torch']}, {self.date}"
        convolution_peak = max(rate for _, rate in self.convolution)
        peaks = {_PRECISIONS[dtype]: max(rate for _, rate in curve) for dtype, curve in self.gemm.items()}
        peaks["fp32"] = max(peaks["fp32"], convolution_peak)
        on_cpu = self.identity["device"] == "cpu"
        return Device(
            id=LOCAL if on_cpu else f"{LOCAL}:cuda",
            name=name,
            vendor="this machine",
            kind="CPU" if on_cpu else "GPU",
            year=int(self.date[:4]),
            confidence="measured",
            sources=(Source(source),),
            memory_gib=self.memory_bytes / 2**30,
            bandwidth_bytes_per_s=max(rate for size, rate in self.bandwidth if size >= _BEYOND_CACHE),
            peak_ops_per_s=peaks,
            vector_precisions=("bf16", "fp16") if on_cpu else (),
        )

    @property
    def source(self) -> str:
        """The measurement behind the estimate, in one line."""
        return (
            "operator by operator: rates of products, convolutions and memory measured here on "
            f"{self.date} by size, and {self.floor_s * 1e6:.3g} µs an operator"
        )

    @property
    def launch_s(self) -> float:
        """Zero: the launch of an operator is part of its measured floor."""
        return 0.0

    @property
    def fixed_s(self) -> float:
        """Zero: what was measured are operators."""
        return 0.0

    @property
    def validation(self) -> Validation | None:
        """None: what was measured here are single operators, not models."""
        return None

    @property
    def stands_in(self) -> str:
        """Empty: the rates are this machine's own."""
        return ""

    def parts(self, work: Work, device: Device) -> TimeParts:
        """Return the launch overhead, and the larger of compute and memory time at the rates of the call's size."""
        if not work.is_kernel:
            return TimeParts(0.0, 0.0, 0.0)
        compute_s = work.ops / interpolate(self._curve(work), work.ops) if work.ops else 0.0
        compute_s += work.vector_ops / (device.vector_peak_ops_per_s or float("inf"))
        traffic = work.bytes + work.quantise_bytes
        memory_s = traffic / interpolate(self.bandwidth, traffic) if traffic else 0.0
        if compute_s >= memory_s:
            return TimeParts(compute_s, 0.0, self.floor_s)
        return TimeParts(0.0, memory_s, self.floor_s)

    def of_device(self, device: Device, precision: str) -> MeasuredMachine:
        """Return the machine: it is the device."""
        del device, precision
        return self

    def _curve(self, work: Work) -> Curve:
        if work.is_depthwise:
            return self.depthwise
        if work.is_convolution:
            return self.convolution
        dtype = next((dtype for dtype, name in _PRECISIONS.items() if name == work.precision), "float32")
        return self.gemm.get(dtype, self.gemm["float32"])


def interpolate(curve: Curve, size: float) -> float:
    """Return the rate at *size*: linear in the logarithm of the size, and constant beyond the ends of the curve.

    Example:
        >>> interpolate(((10.0, 1.0), (1000.0, 3.0)), 100.0)
        2.0
    """
    sizes = [point[0] for point in curve]
    right = bisect_left(sizes, size)
    if right == 0:
        return curve[0][1]
    if right == len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[right - 1], curve[right]
    return y0 + (y1 - y0) * log(size / x0) / log(x1 / x0)


def is_usable(machine: MeasuredMachine) -> bool:
    """Return whether every curve has points, with positive numbers, and whether the device can be made from them."""
    curves = (*machine.gemm.values(), machine.convolution, machine.depthwise, machine.bandwidth)
    if not all(curve and all(min(point) > 0 for point in curve) for curve in curves):
        return False
    try:
        return machine.device.bandwidth_bytes_per_s is not None
    except (KeyError, ValueError, TypeError):
        return False
