"""The estimate of a pass: its time, the range of that time, and where the time goes.

There is one estimate. The largest rate, the headroom, the limit, the load of a pipeline, training days and energy all
follow from it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from profiler.projection.time_table import overlapped
from profiler.values.projection import TimeShare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from profiler.devices import Device
    from profiler.projection.time_table import TimeParts
    from profiler.projection.validation import Validation
    from profiler.projection.work import Work


#: Part of the time that is worth a sentence.
_NOTABLE = 0.05


class TimeModel(Protocol):
    """Estimates the time of kernels on a device: a time table, or a machine that was measured."""

    @property
    def source(self) -> str:
        """What the estimate rests on, in one line."""

    @property
    def launch_s(self) -> float:
        """Seconds in which the host launches a kernel."""

    @property
    def fixed_s(self) -> float:
        """Seconds of a pass that do not depend on its work."""

    @property
    def validation(self) -> Validation | None:
        """The measurements that it was held against; None if there are none."""

    @property
    def stands_in(self) -> str:
        """Why it stands for another model that does not exist; empty if it does not."""

    def parts(self, work: Work, device: Device) -> TimeParts:
        """Return where the time of one call goes."""

    def of_device(self, device: Device, precision: str) -> TimeModel:
        """Return the model of a device in a precision of arithmetic."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated time of a pass."""

    seconds: float
    #: The range that held 90 % of comparable measurements; None if nothing was compared.
    low_s: float | None
    #: None also if the bandwidth of the device is unknown: memory traffic may take any time.
    high_s: float | None
    #: Where the time goes, most first.
    shares: tuple[TimeShare, ...]
    #: Why the range may not hold, one sentence each.
    caveats: tuple[str, ...]

    @property
    def limit(self) -> str:
        """The resource that takes most of the time: ``compute``, ``bandwidth`` or ``launches``."""
        sums: dict[str, float] = defaultdict(float)
        for share in self.shares:
            sums[share.resource] += share.seconds
        return max(sums, key=lambda resource: sums[resource], default="compute")


def estimate_pass(
    works: Iterable[Work], device: Device, model: TimeModel, *, precision: str, bound_s: float
) -> Estimate:
    """Estimate the time of a pass from its kernels; it is never below the bound.

    Args:
        works: The kernels.
        device: The device.
        model: How the time of a kernel is estimated.
        precision: The precision of the arithmetic, which the model may not have been held against.
        bound_s: The lower bound of the pass.
    """
    kernels = [(work, model.parts(work, device)) for work in works if work.is_kernel]
    kernels_s, launch_s = _seconds(kernels, model)
    device_s = kernels_s + model.fixed_s
    run_s = overlapped(device_s, launch_s)
    seconds = max(run_s, bound_s)
    waiting = TimeShare("all operators", "launches", run_s - kernels_s if device_s >= launch_s else run_s)
    shares = _device_shares(kernels, waiting) if device_s >= launch_s else (waiting,)
    unmeasured_s = _unmeasured_s(kernels, model.validation)
    low_s, high_s = pass_range(model, device, precision, device_s, launch_s, unmeasured_s)
    return Estimate(
        seconds,
        None if low_s is None else max(low_s, bound_s),
        None if high_s is None else max(high_s, seconds),
        shares,
        _caveats(model, device, precision, seconds, unmeasured_s),
    )


def kernel_seconds(works: Iterable[Work], device: Device, model: TimeModel) -> tuple[float, float]:
    """Return the seconds of all kernels on the device, and those in which the host launches them."""
    kernels = [(work, model.parts(work, device)) for work in works if work.is_kernel]
    device_s, launch_s = _seconds(kernels, model)
    return device_s + model.fixed_s, launch_s


def _seconds(kernels: Sequence[tuple[Work, TimeParts]], model: TimeModel) -> tuple[float, float]:
    device_s = math.fsum(work.calls * parts.seconds for work, parts in kernels)
    return device_s, model.launch_s * sum(work.calls for work, _ in kernels)


def pass_range(
    model: TimeModel,
    device: Device,
    precision: str,
    device_s: float,
    launch_s: float,
    unmeasured_s: Mapping[str, float],
) -> tuple[float | None, float | None]:
    """Return the range of the time of a pass, by the ranges of what the device and what the host takes.

    Args:
        model: The model, with its validation.
        device: The device; without a known bandwidth the range has no upper end, unless its own times were measured.
        precision: The precision of the arithmetic.
        device_s: Seconds of the device.
        launch_s: Seconds in which the host launches the kernels.
        unmeasured_s: Seconds of the device for each class of ``Validation.unmeasured``.
    """
    validation = model.validation
    if validation is None:
        return None, None
    of_device, of_host = _validated_range(validation, model, device, precision), validation.launch_range
    parts = [(validation.unmeasured[class_], seconds) for class_, seconds in unmeasured_s.items()]
    parts.append((of_device, device_s - math.fsum(unmeasured_s.values())))
    low, high = (
        overlapped(math.fsum(range_[end] * seconds for range_, seconds in parts), of_host[end] * launch_s)
        for end in (0, 1)
    )
    return low, high if device.bandwidth_bytes_per_s or device.id in validation.ranges else None


def _unmeasured_s(kernels: Iterable[tuple[Work, TimeParts]], validation: Validation | None) -> dict[str, float]:
    """Return the seconds of each class that no measured pass has."""
    found: dict[str, float] = defaultdict(float)
    for work, parts in kernels:
        if validation is not None and work.class_ in validation.unmeasured:
            found[work.class_] += work.calls * parts.seconds
    return dict(found)


def _device_shares(kernels: Iterable[tuple[Work, TimeParts]], waiting: TimeShare) -> tuple[TimeShare, ...]:
    """Return where the time of the kernels goes, and how long they wait for the host."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for work, parts in kernels:
        sums[work.class_, "compute"] += work.calls * parts.compute_s
        sums[work.class_, "bandwidth"] += work.calls * parts.memory_s
        sums[work.class_, "launches"] += work.calls * parts.kernel_s
    shares = (TimeShare(class_, resource, seconds) for (class_, resource), seconds in sums.items())
    spent = [share for share in (*shares, waiting) if share.seconds]
    return tuple(sorted(spent, key=lambda share: (-share.seconds, share.class_, share.resource)))


def _validated_range(validation: Validation, model: TimeModel, device: Device, precision: str) -> tuple[float, float]:
    if precision not in validation.precisions or model.stands_in:
        return validation.range_elsewhere
    return validation.ranges.get(device.id, validation.range_elsewhere)


def _caveats(
    model: TimeModel, device: Device, precision: str, seconds: float, unmeasured_s: Mapping[str, float]
) -> tuple[str, ...]:
    """Return why measurements may fall outside of the range."""
    validation = model.validation
    if validation is None:
        return ("the estimate was held against no measurement of such a device in this mode: it has no range",)
    caveats = [model.stands_in] if model.stands_in else []
    if precision not in validation.precisions:
        caveats.append(f"the estimate was held against measurements in {', '.join(validation.precisions)} alone")
    if not validation.fastest_ms / 3 <= 1e3 * seconds <= 3 * validation.slowest_ms:
        measured = f"{validation.fastest_ms:.3g} to {validation.slowest_ms:.3g} ms"
        caveats.append(f"the estimate is far from the passes that were measured, of {measured}")
    caveats += [
        f"{class_s / seconds:.0%} of the estimate is {class_}, which no measured pass had: it takes what published "
        "kernels take"
        for class_, class_s in unmeasured_s.items()
        if class_s > _NOTABLE * seconds
    ]
    if device.bandwidth_bytes_per_s is None and device.id not in validation.ranges:
        caveats.append(f"the bandwidth of {device.id} is not known: the estimate has no time for memory traffic")
    return tuple(caveats)
