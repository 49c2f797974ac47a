"""Whether it fits: the bytes that a run needs, the part of a device's memory that a program gets, the largest batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.devices import Device, all_devices
from profiler.errors import PlanError
from profiler.projection.precision import STORED_BYTES, PrecisionScheme
from profiler.projection.work import activation_bytes, weight_bytes
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.tally import Profile

#: Share of the memory that a program gets. Source: an L40S of 48 GiB shows 46068 MiB with ECC on (NVIDIA
#: aiconfigurator, systems/l40s.yaml); other devices keep less to themselves.
USABLE = 46068 / 49152
_BUFFER_BYTES = 4


def memory_needed(profile: Profile, scheme: PrecisionScheme) -> Figure:
    """Give the bytes that a run needs: the traced peak, where there is one, or a floor of it."""
    peak = getattr(profile.totals, "peak_memory", None)
    if isinstance(peak, dict) and peak.get("total") and not scheme.converts:
        return Figure(int(peak["total"]), "measured", "largest sum of live storages, traced")
    weights = weight_bytes(profile, scheme) + profile.totals.buffers * _BUFFER_BYTES
    if isinstance(peak, dict) and peak.get("total"):
        others = sum(size for name, size in peak.items() if name not in {"total", "parameter", "buffer"})
        scaled = int(others * _activation_ratio(profile, scheme))
        return Figure(weights + scaled, "estimate", f"traced peak, converted to {scheme.name}")
    source = "parameters, buffers and the operator with the most operands and results; the true peak is larger"
    return Figure(weights + activation_bytes(profile, scheme), "bound", source)


def usable_bytes(device: Device) -> int | None:
    """Give the bytes that a program gets of a device's memory."""
    return None if device.memory_bytes is None else int(device.memory_bytes * USABLE)


def smallest_device(needed: int, scheme: PrecisionScheme) -> Figure | None:
    """Name the catalogue's single device with the least memory that holds so many bytes and has the precision."""
    single = [d for d in all_devices().values() if d.count == 1 and scheme.compute in d.peak_ops_per_s]
    large = [d for d in single if (usable_bytes(d) or 0) >= needed]
    found = min(large, key=lambda d: (d.memory_gib or 0, d.id), default=None)
    if found is None:
        return None
    return Figure(
        found.id, "estimate", f"least memory in the catalogue with {scheme.compute}; its {found.cite('memory')}"
    )


def largest_batch(needed: Callable[[int], int], usable: int, *, most: int = 1 << 20) -> int:
    """Find the largest batch of which *needed* gives at most *usable* bytes, by doubling and halving; 0 if none.

    Raises:
        PlanError: Even the batch *most* fits: the model's memory does not depend on its batch.
    """
    if needed(1) > usable:
        return 0
    fits = 1
    while needed(2 * fits) <= usable:
        fits *= 2
        if fits >= most:
            msg = f"a batch of {most} still fits: the memory does not grow with the batch"
            raise PlanError(msg)
    fails = 2 * fits
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if needed(middle) <= usable else (fits, middle)
    return fits


def _activation_ratio(profile: Profile, scheme: PrecisionScheme) -> float:
    widths = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
    most = max(profile.params_by_dtype, key=lambda row: row[1], default=("float32", 0))[0]
    return STORED_BYTES[scheme.activations] / widths[most] if most in widths else 1.0
