"""The roofline: a bound on the whole, each operator's side of the ridge, and the estimate.

The bound is ``max(Σ compute of each engine, compulsory bytes / bandwidth)``: engines and memory may all overlap. It
holds for the counted arithmetic: an algorithm that multiplies less (Winograd, Strassen) is another. The sum of the
operators' own maxima is no bound, since operators may overlap and keep their results on the chip.

Source: S. Williams, A. Waterman, D. Patterson, Roofline, Communications of the ACM 52 (2009).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.values.projection import OperatorBound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.devices import Device
    from profiler.projection.efficiency import Efficiency
    from profiler.projection.work import Work


@dataclass(frozen=True, slots=True)
class Bound:
    """What no device of these peaks can beat."""

    compute_s: float
    memory_s: float

    @property
    def seconds(self) -> float:
        """The larger of the two."""
        return max(self.compute_s, self.memory_s)

    @property
    def limit(self) -> str:
        """Which of the two it is."""
        return "compute" if self.compute_s >= self.memory_s else "bandwidth"


def bound(works: Iterable[Work], compulsory_bytes: int, device: Device) -> Bound:
    """Bound a whole pass; memory of unknown bandwidth takes no time."""
    engines = engine_seconds(works, device)
    bandwidth = device.bandwidth_bytes_per_s
    return Bound(max(engines.values(), default=0.0), compulsory_bytes / bandwidth if bandwidth else 0.0)


def engine_seconds(works: Iterable[Work], device: Device) -> dict[str, float]:
    """Sum the compute seconds of the matrix and of the vector engine, at their peaks.

    A precision without matrix unit computes on the vector engine. An engine whose rate is not known takes no time.
    """
    engines: dict[str, float] = defaultdict(float)
    for work in works:
        vector = vector_rate(device)
        peak = _peak(work, device)
        if peak is not None:
            engine = "vector" if device.is_vector(work.precision or "") else "matrix"
            engines[engine] += work.calls * work.ops / peak
        elif vector:
            engines["vector"] += work.calls * work.ops / vector
        if vector:
            engines["vector"] += work.calls * work.vector_ops / vector
    return dict(engines)


def vector_rate(device: Device) -> float | None:
    """Give the fastest rate for work outside contractions: twice the fp32 rate, if 16-bit numbers come in pairs."""
    listed = device.vector_peak
    if listed is None or device.vector_ops_per_s.get("fp16") or "CPU" in device.kind:
        return listed
    return 2 * listed


def operator_bounds(works: Iterable[Work], device: Device, efficiency: Efficiency) -> tuple[OperatorBound, ...]:
    """Hold each operator against the roofline; the slowest by estimate first, and what is free left out."""
    groups: dict[tuple[str, str], list[Work]] = defaultdict(list)
    for work in works:
        if work.is_kernel:
            groups[work.operator, work.dtype].append(work)
    rows = [_row(operator, dtype, works, device, efficiency) for (operator, dtype), works in groups.items()]
    return tuple(sorted(rows, key=lambda row: (-row.estimate_s, row.operator, row.dtype)))


def _row(operator: str, dtype: str, works: list[Work], device: Device, efficiency: Efficiency) -> OperatorBound:
    bandwidth = device.bandwidth_bytes_per_s
    rates = [rate for work in works if (rate := _peak(work, device) if work.ops else vector_rate(device))]
    return OperatorBound(
        operator=operator,
        dtype=dtype,
        calls=sum(work.calls for work in works),
        ops=sum(work.calls * (work.ops + work.vector_ops) for work in works),
        bytes=sum(work.calls * work.bytes for work in works),
        bound_s=sum(work.calls * bound([replace(work, calls=1)], work.bytes, device).seconds for work in works),
        estimate_s=sum(work.calls * efficiency.seconds(work, device) for work in works),
        ridge_ops_per_byte=max(rates) / bandwidth if rates and bandwidth else None,
    )


def _peak(work: Work, device: Device) -> float | None:
    return next((rate for name, rate in device.peak_ops_per_s.items() if name == work.precision), None)
