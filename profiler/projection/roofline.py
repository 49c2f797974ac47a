"""The roofline model: a lower bound on the time of a pass, and the position of each operator.

The bound is ``max(compute time of each engine, compulsory bytes / bandwidth)``: both engines and the memory may work at
the same time. It holds for the counted arithmetic; an algorithm that needs fewer multiplications (Winograd, Strassen)
may be faster. The sum of the operators' own bounds is not a bound of the pass, because operators may overlap and keep
their results on the chip.

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
    from profiler.projection.time_model import TimeModel
    from profiler.projection.work import Work


@dataclass(frozen=True, slots=True)
class RooflineTime:
    """The compute time and the memory time of a pass, which overlap."""

    compute_s: float
    memory_s: float

    @property
    def seconds(self) -> float:
        """The larger of the two times."""
        return max(self.compute_s, self.memory_s)

    @property
    def limit(self) -> str:
        """The limiting resource: ``compute`` or ``bandwidth``."""
        return "compute" if self.compute_s >= self.memory_s else "bandwidth"


def roofline_bound(works: Iterable[Work], compulsory_bytes: int, device: Device) -> RooflineTime:
    """Return the lower bound of a pass; if the bandwidth is unknown, the memory time is 0."""
    engines = engine_seconds(works, device)
    bandwidth = device.bandwidth_bytes_per_s
    return RooflineTime(max(engines.values(), default=0.0), compulsory_bytes / bandwidth if bandwidth else 0.0)


def engine_seconds(works: Iterable[Work], device: Device) -> dict[str, float]:
    """Return the compute seconds of the "matrix" and of the "vector" engine at their peak rates.

    Contractions in a precision without a matrix unit run on the vector engine. Work with an unknown rate takes no time.
    """
    vector_rate = vector_ops_per_s(device)
    engines: dict[str, float] = defaultdict(float)
    for work in works:
        peak = work.rate_on(device)
        if peak is not None:
            engine = "vector" if device.is_vector(work.precision or "") else "matrix"
            engines[engine] += work.calls * work.ops / peak
        elif vector_rate:
            engines["vector"] += work.calls * work.ops / vector_rate
        if vector_rate:
            engines["vector"] += work.calls * work.vector_ops / vector_rate
    return dict(engines)


def vector_ops_per_s(device: Device) -> float | None:
    """Return an upper limit of the vector engine's rate; None if no rate is listed.

    GPUs and NPUs may compute 16-bit numbers in pairs, so the limit is twice the fp32 rate unless an fp16 vector rate is
    listed.
    """
    listed = device.vector_peak_ops_per_s
    if listed is None or device.vector_ops_per_s.get("fp16") or "CPU" in device.kind:
        return listed
    return 2 * listed


def operator_bounds(
    works: Iterable[Work], device: Device, model: TimeModel, estimate_s: float
) -> tuple[OperatorBound, ...]:
    """Return the roofline position of each operator that launches kernels, longest estimate first.

    Their estimates sum to that of the pass, *estimate_s*. Where that is longer than all kernels, because of launches or
    of the bound, the operators share the difference in proportion.
    """
    groups: dict[tuple[str, str], list[Work]] = defaultdict(list)
    for work in works:
        if work.is_kernel:
            groups[work.operator, work.dtype].append(work)
    rows = [_operator_bound(operator, dtype, works, device, model) for (operator, dtype), works in groups.items()]
    kernels_s = sum(row.estimate_s for row in rows)
    scaled = [replace(row, estimate_s=row.estimate_s * estimate_s / kernels_s) for row in rows] if kernels_s else rows
    return tuple(sorted(scaled, key=lambda row: (-row.estimate_s, row.operator, row.dtype)))


def _operator_bound(operator: str, dtype: str, works: list[Work], device: Device, model: TimeModel) -> OperatorBound:
    bandwidth = device.bandwidth_bytes_per_s
    rates = [rate for work in works if (rate := work.rate_on(device) if work.ops else vector_ops_per_s(device))]
    return OperatorBound(
        operator=operator,
        dtype=dtype,
        calls=sum(work.calls for work in works),
        ops=sum(work.calls * (work.ops + work.vector_ops) for work in works),
        bytes=sum(work.calls * work.bytes for work in works),
        bound_s=sum(
            work.calls * roofline_bound([replace(work, calls=1)], work.bytes, device).seconds for work in works
        ),
        estimate_s=sum(work.calls * model.parts(work, device).seconds for work in works),
        ridge_ops_per_byte=max(rates) / bandwidth if rates and bandwidth else None,
    )
