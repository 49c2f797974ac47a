"""Limits on the TOPS that a device needs for a rate of passes.

tops_at_30fps_on.jetson-orin-nx = 5.5        # 10¹² operations per second, at a utilisation of 0.3
"""

from __future__ import annotations

import re

from profiler.devices import find_device
from profiler.projection import project
from profiler.tally import Profile

_NAME = re.compile(r"tops_at_(?P<fps>\d+(?:\.\d+)?)fps_on")
TERA = 10**12
#: Fraction of the peak: a constant, so that the figure changes with the model alone. Source: the lowest of eleven
#: MLPerf results of ResNet-50 in int8 (Inference v0.7, v1.1 and v4.1), 0.305 to 0.522.
UTILISATION = 0.3


def is_projected(name: str) -> bool:
    """Return whether a figure is about a device.

    Example:
        >>> is_projected("tops_at_30fps_on"), is_projected("macs")
        (True, False)
    """
    return _NAME.fullmatch(name) is not None


def project_metric(profile: Profile, name: str, device: str) -> int:
    """Return the peak operations per second that the device needs, as ``project`` computes them.

    Raises:
        ProfilerError: There is no such device, or it lacks the precision of the model.
    """
    match = _NAME.fullmatch(name)
    fps = float(match["fps"]) if match else 0.0
    required = project(profile, find_device(device), fps=fps, utilisation=UTILISATION).required_tops
    return 0 if required is None else round(float(required.value) * TERA)
