"""The rooflines that the page can show: that of the projection, and those of the device's other precisions.

This file is the only one of the page that reads the operators of a projection.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from profiler.devices import find_device
from profiler.errors import ProfilerError
from profiler.projection import project
from profiler.projection.mode import MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.tally import Profile
    from profiler.values.projection import OperatorBound, Projection


#: Two rates that differ by less are one roof.
_SAME = 1e-3


def roofline_views(profile: Profile) -> list[dict[str, Any]]:
    """Return one view for each precision (and mode, where there are several), that of the projection first."""
    if profile.projection is None or not profile.projection.operators:
        return []
    contractions = {(row.operator, row.dtype) for row in profile.operators if row.totals.macs}
    return [
        _view(projection, contractions) for projection in (profile.projection, *_others(profile, profile.projection))
    ]


def _others(profile: Profile, projection: Projection) -> Iterator[Projection]:
    """Yield the projections onto the same device in its other precisions.

    There are none if the saved projection cannot be repeated: the device is not in the catalogue, or it was measured.
    """
    with suppress(ProfilerError):
        device = find_device(str(projection.device.value))
        precision = str(projection.precision.value)
        mode = next((mode for mode in MODES if projection.mode is not None and projection.mode.value == mode), None)
        repeat = partial(project, profile, device, mode=mode)
        if repeat(precision=precision).operators != projection.operators:
            return
        for row in projection.what_if:
            if row.precision != precision:
                with suppress(ProfilerError):
                    yield repeat(precision=row.precision)


def _view(projection: Projection, contractions: set[tuple[str, str]]) -> dict[str, Any]:
    bandwidth = projection.bandwidth_bytes_per_s
    return {
        "device": str(projection.device.value),
        "precision": str(projection.precision.value),
        "mode": str(projection.mode.value) if projection.mode is not None else "",
        "bandwidth": float(bandwidth.value) if bandwidth else None,
        "roofs": _roofs(projection, contractions),
        "bound_s": float(projection.bound_s.value),
        "estimate_s": float(projection.estimate_s.value),
        "operators": [_operator(row) for row in projection.operators],
    }


def _roofs(projection: Projection, contractions: set[tuple[str, str]]) -> list[tuple[str, float]]:
    """Return the engines that the operators run on, each with its peak rate: ridge point × bandwidth."""
    precision, bandwidth = str(projection.precision.value), projection.bandwidth_bytes_per_s
    roofs = [(f"products in {precision}", float(projection.peak_ops_per_s.value))]
    for row in projection.operators if bandwidth else ():
        rate = (row.ridge_ops_per_byte or 0) * float(bandwidth.value) if bandwidth else 0
        is_known = any(abs(rate - known) < _SAME * known for _, known in roofs)
        if rate and not is_known:
            is_product = (row.operator, row.dtype) in contractions
            roofs.append((f"products of {row.dtype}" if is_product else "other arithmetic", rate))
    return roofs


def _operator(row: OperatorBound) -> list[Any]:
    """Return name, dtype, calls, operations, bytes, bound, estimate and ridge point."""
    ridge = row.ridge_ops_per_byte
    return [row.operator, row.dtype, row.calls, row.ops, row.bytes, row.bound_s, row.estimate_s, ridge]
