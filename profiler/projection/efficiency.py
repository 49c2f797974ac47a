"""What share of its peaks a device reaches: what turns a bound into an estimate.

The defaults are medians of published measurements, the same for every device; a machine that was measured brings its
own (``local.py``). Each is shown with every estimate that it went into.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from profiler.values.projection import Figure

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.work import Work

#: Share of the dense peak. Source: MLPerf Inference v0.7, v1.1 and v4.1 result logs, ResNet-50 in int8, offline, on
#: eleven systems: 0.305 to 0.522, median 0.452.
COMPUTE = Figure(0.45, "estimate", "median of 11 MLPerf ResNet-50 int8 offline results, 0.305 to 0.522")
#: Share of the bandwidth. Source: batch-1 decoding, Llama-3-8B on an RTX A6000 (torchao documentation: 0.632) and a
#: 13 B model on an A100 (16.5 ms of memory time in 22.0 ms; llm-analysis): their mean.
MEMORY = Figure(0.69, "estimate", "mean of two published decode measurements, 0.632 and 0.750")
#: Seconds that a kernel takes at least. Source: MLPerf ResNet-50 in int8, single stream: what is left of the latency on
#: A100, A10, L4 and L40S after compute and memory at the shares above, over 56 fused kernels: 3.2 to 7.4 µs.
FLOOR_S = Figure(5e-6, "estimate", "MLPerf ResNet-50 single-stream latencies over 56 kernels, 3.2 to 7.4 µs")
#: Share of the peak that a planned, sustained load may use. Source: the lowest of the eleven results under COMPUTE.
UTILISATION = 0.3
UTILISATION_SOURCE = "lowest of 11 MLPerf ResNet-50 int8 offline results, 0.305 to 0.522"


class Efficiency(Protocol):
    """Anything that estimates the time of one call."""

    @property
    def stated(self) -> str:
        """What the estimate rests on."""

    def seconds(self, work: Work, device: Device) -> float:
        """Estimate one call."""


@dataclass(frozen=True, slots=True)
class FixedEfficiency:
    """One share of every peak, and a floor a kernel."""

    compute: Figure = COMPUTE
    memory: Figure = MEMORY
    floor_s: Figure = FLOOR_S

    @property
    def stated(self) -> str:
        """What the estimate rests on."""
        return (
            f"operator by operator: {float(self.compute.value):.0%} of peak compute ({self.compute.source}), "
            f"{float(self.memory.value):.0%} of bandwidth ({self.memory.source}), "
            f"at least {float(self.floor_s.value) * 1e6:.3g} µs a kernel ({self.floor_s.source})"
        )

    def seconds(self, work: Work, device: Device) -> float:
        """Take the longer of compute and memory, after the floor."""
        if not work.is_kernel:
            return 0.0
        compute = _compute_seconds(work, device) / float(self.compute.value)
        memory = _memory_seconds(work, device) / float(self.memory.value)
        return float(self.floor_s.value) + max(compute, memory)


def _compute_seconds(work: Work, device: Device) -> float:
    """Sum the time of both engines at their peaks; an engine of unknown rate takes none."""
    peak = device.peak_ops_per_s.get(work.precision) if work.precision else None  # type: ignore[call-overload]
    rate = peak or device.vector_peak
    contraction = work.ops / rate if rate else 0.0
    return contraction + (work.vector_ops / device.vector_peak if device.vector_peak else 0.0)


def _memory_seconds(work: Work, device: Device) -> float:
    bandwidth = device.bandwidth_bytes_per_s
    return (work.bytes + work.quantise_bytes) / bandwidth if bandwidth else 0.0
