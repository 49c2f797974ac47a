"""The same pass in other precisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.errors import DeviceError
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.model_bytes import weight_bytes
from profiler.projection.pass_figures import bound_source
from profiler.projection.precision import WHAT_IFS, fall_back, parse_precision
from profiler.values.projection import Figure, WhatIf

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.projection.time_model import TimeModel


def what_if(
    work: ProfileWork,
    device: Device,
    *,
    mode: Mode | None = None,
    model: TimeModel | None = None,
    own: DevicePass | None = None,
) -> tuple[WhatIf, ...]:
    """Project the same pass in several precisions, each computed in the nearest one that the device has.

    Args:
        work: The work of the profile.
        device: The device.
        mode: As for ``project``.
        model: As for ``project``.
        own: The pass in its own precision, which is the row of that precision.
    """
    rows = []
    for name in WHAT_IFS:
        if own is not None and own.scheme.name == name:
            rows.append(_what_if(own))
            continue
        try:
            scheme = fall_back(parse_precision(name), device)
        except DeviceError:
            continue
        rows.append(_what_if(DevicePass.of(work, device, scheme, mode=mode, model=model)))
    return tuple(rows)


def _what_if(device_pass: DevicePass) -> WhatIf:
    scheme = device_pass.scheme
    source: str = device_pass.mode
    if scheme.quantises and device_pass.mode != "deployed":
        source += "; activations are quantised by separate operators"
    stored = f"every parameter stored in {scheme.weights}" if scheme.converts else "the parameters as they are"
    return WhatIf(
        precision=scheme.name,
        computes_in=scheme.compute,
        weight_bytes=Figure(weight_bytes(device_pass.profile, scheme), "bound", stored),
        bound_s=Figure(device_pass.bound.seconds, "bound", bound_source(device_pass)),
        estimate_s=Figure(device_pass.estimate.seconds, "estimate", source),
    )
