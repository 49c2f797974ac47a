"""Efficiencies: the fraction of its peak rates that a device reaches, which turns a bound into an estimate.

The defaults are medians and means of published measurements, the same for every device. A machine that was measured
has its own (``this_machine.py``). Every estimate states the efficiencies that it assumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from profiler.values.projection import Figure

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.work import Work

#: Fraction of the dense peak. Source: MLPerf Inference v0.7, v1.1 and v4.1 result logs, ResNet-50 in int8, offline, on
#: eleven systems: 0.305 to 0.522, median 0.452.
COMPUTE = Figure(0.45, "estimate", "median of 11 MLPerf ResNet-50 int8 offline results, 0.305 to 0.522")
#: Fraction of the bandwidth. Source: decoding at batch size 1, Llama-3-8B on an RTX A6000 (torchao documentation:
#: 0.632) and a 13 B model on an A100 (16.5 ms of memory time in 22.0 ms; llm-analysis): their mean.
MEMORY = Figure(0.69, "estimate", "mean of two published decode measurements, 0.632 and 0.750")
#: Minimum time of a kernel. Source: MLPerf ResNet-50 in int8, single stream: the latency on A100, A10, L4 and L40S,
#: less compute and memory time at the fractions above, over 56 fused kernels: 3.2 to 7.4 µs.
FLOOR_S = Figure(5e-6, "estimate", "MLPerf ResNet-50 single-stream latencies over 56 kernels, 3.2 to 7.4 µs")
#: Fraction of the peak that a sustained load is planned with. Source: the lowest of the eleven results under COMPUTE.
UTILISATION = 0.3
UTILISATION_SOURCE = "lowest of 11 MLPerf ResNet-50 int8 offline results, 0.305 to 0.522"


class Efficiency(Protocol):
    """Estimates the time of an operator call on a device."""

    @property
    def source(self) -> str:
        """The assumptions behind the estimate, in one line."""

    def seconds(self, work: Work, device: Device) -> float:
        """Return the estimated time of one call."""


@dataclass(frozen=True, slots=True)
class FixedEfficiency:
    """The same fractions of peak and bandwidth for every operator, and a minimum time per kernel."""

    compute: Figure = COMPUTE
    memory: Figure = MEMORY
    floor_s: Figure = FLOOR_S

    @property
    def source(self) -> str:
        """The three assumptions with their own sources, in one line."""
        return (
            f"operator by operator: {float(self.compute.value):.0%} of peak compute ({self.compute.source}), "
            f"{float(self.memory.value):.0%} of bandwidth ({self.memory.source}), "
            f"at least {float(self.floor_s.value) * 1e6:.3g} µs a kernel ({self.floor_s.source})"
        )

    def seconds(self, work: Work, device: Device) -> float:
        """Return the minimum time of a kernel plus the larger of compute time and memory time."""
        if not work.is_kernel:
            return 0.0
        compute_s = _compute_s(work, device) / float(self.compute.value)
        memory_s = _memory_s(work, device) / float(self.memory.value)
        return float(self.floor_s.value) + max(compute_s, memory_s)


def _compute_s(work: Work, device: Device) -> float:
    """Return the compute time at the peak rates, both engines one after the other; an unknown rate costs no time."""
    peak = device.peak_ops_per_s.get(work.precision) if work.precision else None  # type: ignore[call-overload]
    vector_peak = device.vector_peak_ops_per_s
    contraction_rate = peak or vector_peak
    contraction_s = work.ops / contraction_rate if contraction_rate else 0.0
    return contraction_s + (work.vector_ops / vector_peak if vector_peak else 0.0)


def _memory_s(work: Work, device: Device) -> float:
    bandwidth = device.bandwidth_bytes_per_s
    return (work.bytes + work.quantise_bytes) / bandwidth if bandwidth else 0.0
