"""Memory: the bytes that a run needs, the usable memory of a device, and the largest batch that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.errors import PlanError
from profiler.projection.model_bytes import activation_bytes, weight_bytes
from profiler.projection.precision import STORED_BYTES, PrecisionScheme
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.devices import Device
    from profiler.tally import Profile

#: Fraction of the memory that a program can allocate. Source: an L40S of 48 GiB reports 46068 MiB with ECC on (NVIDIA
#: aiconfigurator, systems/l40s.yaml); other devices reserve less.
USABLE = 46068 / 49152
_BUFFER_BYTES = 4
_MAX_BATCH = 1 << 20


def memory_needed(profile: Profile, scheme: PrecisionScheme) -> Figure:
    """Return the bytes that a run needs: the traced peak if the profile has one, otherwise a lower bound of it."""
    peak = profile.totals.peak_memory
    if peak.get("total") and not scheme.converts:
        return Figure(int(peak["total"]), "measured", "largest sum of live storages, traced")
    weights = weight_bytes(profile, scheme) + profile.totals.buffers * _BUFFER_BYTES
    if peak.get("total"):
        others = sum(size for name, size in peak.items() if name not in {"total", "parameter", "buffer"})
        scaled = int(others * _activation_ratio(profile, scheme))
        return Figure(weights + scaled, "estimate", f"traced peak, converted to {scheme.name}")
    source = "parameters, buffers and the operator with the most operands and results; the true peak is larger"
    return Figure(weights + activation_bytes(profile, scheme), "bound", source)


def usable_bytes(device: Device) -> int | None:
    """Return the bytes of a device's memory that a program can allocate; None if the memory is unknown."""
    return None if device.memory_bytes is None else int(device.memory_bytes * USABLE)


def largest_batch(needed_bytes: Callable[[int], int], usable: int, *, limit: int = _MAX_BATCH) -> int:
    """Return the largest batch that fits, found by bisection; 0 if not even one sample fits.

    Args:
        needed_bytes: Returns the bytes that a batch of a size needs; must not decrease with the size.
        usable: Bytes that are available.
        limit: Batch size at which the search is given up.

    Raises:
        PlanError: A batch of *limit* fits, so the memory does not depend on the batch.

    Example:
        >>> largest_batch(lambda batch: 100 + 8 * batch, usable=1000)
        112
    """
    if needed_bytes(1) > usable:
        return 0
    fits = 1
    while needed_bytes(2 * fits) <= usable:
        fits *= 2
        if fits >= limit:
            msg = f"a batch of {limit} still fits: the memory does not grow with the batch"
            raise PlanError(msg)
    fails = 2 * fits
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if needed_bytes(middle) <= usable else (fits, middle)
    return fits


def _activation_ratio(profile: Profile, scheme: PrecisionScheme) -> float:
    """Return the size of activations in *scheme*, relative to the dtype of most parameters."""
    widths = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
    dtype = max(profile.params_by_dtype, key=lambda row: row[1], default=("float32", 0))[0]
    return STORED_BYTES[scheme.activations] / widths[dtype] if dtype in widths else 1.0
