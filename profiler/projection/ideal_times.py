"""Ideal times: of a call, or of a pass by class of operator, at the peak rates of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.devices import Device
    from profiler.projection.work import Work


class Ideal(NamedTuple):
    """The times of work at the peak rates, and the number of kernels."""

    compute_s: float = 0.0
    memory_s: float = 0.0
    kernels: int = 0
    #: Loads that each thread waits for, one after another.
    waits: int = 0


def ideal_times(works: Iterable[Work], device: Device) -> dict[str, Ideal]:
    """Return the ideal times of a pass by class of operator."""
    sums: dict[str, Ideal] = {}
    for work in works:
        if work.is_kernel:
            total, one = sums.get(work.class_, Ideal()), ideal_time(work, device)
            sums[work.class_] = Ideal(
                total.compute_s + work.calls * one.compute_s,
                total.memory_s + work.calls * one.memory_s,
                total.kernels + work.calls,
                total.waits + work.calls * one.waits,
            )
    return sums


def ideal_time(work: Work, device: Device) -> Ideal:
    """Return the ideal times of one call. An unknown rate costs no time.

    Depthwise convolutions run on the vector engine: matrix units have nothing to multiply there.
    """
    vector = device.vector_peak_ops_per_s
    peak = work.rate_on(device)
    rate = vector or peak if work.is_depthwise else peak or vector
    bandwidth = device.bandwidth_bytes_per_s
    traffic = work.bytes + work.quantise_bytes + work.score_bytes
    return Ideal(work.ops / rate if rate else 0.0, traffic / bandwidth if bandwidth else 0.0, 1, work.waits)
