"""The rooflines that the page can show: that of the projection, and those of other precisions and modes.

This file is the only one of the page that reads the operators of a projection.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from profiler.devices import find_device
from profiler.errors import ProfilerError
from profiler.projection.demand import Demand
from profiler.projection.device_pass import ProfileWork
from profiler.projection.project import project_pass
from profiler.projection.roofline import operator_bounds
from profiler.values.modes import MODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.devices import Device
    from profiler.tally import Profile
    from profiler.values.projection import OperatorBound, Projection


#: Two rates that differ by less are one roof.
_SAME = 1e-3


def roofline_views(profile: Profile) -> list[dict[str, Any]]:
    """Return one view for each precision and mode, that of the projection first."""
    if profile.projection is None or not profile.projection.operators:
        return []
    contractions = {(row.operator, row.dtype) for row in profile.operators if row.totals.macs}
    return [
        _view(projection, contractions) for projection in (profile.projection, *_others(profile, profile.projection))
    ]


def _others(profile: Profile, projection: Projection) -> Iterator[Projection]:
    """Yield the projections onto the same device in its other precisions and modes.

    There are none if the saved projection cannot be repeated: the device is not in the catalogue, or it was measured.
    """
    with suppress(ProfilerError):
        repeat = partial(_project, ProfileWork(profile), find_device(str(projection.device.value)))
        given = (str(projection.precision.value), str(projection.mode.value) if projection.mode else "")
        if repeat(*given).operators != projection.operators:
            return
        for pair in product((row.precision for row in projection.what_if), MODES):
            if pair != given:
                with suppress(ProfilerError):
                    yield repeat(*pair)


def _project(work: ProfileWork, device: Device, precision: str, name: str) -> Projection:
    """Return a projection with its operators, which is what is drawn."""
    mode = next((mode for mode in MODES if mode == name), None)
    projection, own = project_pass(work, device, Demand(), precision=precision, mode=mode)
    return replace(projection, operators=operator_bounds(own.works, device, own.model, own.estimate.seconds))


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
