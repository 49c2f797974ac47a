"""Time tables: the shares of its peak rates that a kind of device reaches, by class of operator, in one mode.

The time of a kernel is a straight line in its ideal times: ``kernel + compute ÷ share + memory ÷ share``. The time of a
pass is the sum over its kernels and a constant, or the time in which the host launches them if that is longer
(``overlapped``).

Tables are data files, fitted to published measurements (``fit.py``). Each states what was measured, its error on models
that the fit did not see, and the range that held 90 % of their measurements.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field

from profiler.projection.ideal_times import ideal_time
from profiler.projection.mode import Mode, Step
from profiler.projection.operator_classes import MORE_GENERAL
from profiler.projection.validation import Factor, Validation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.devices import Device
    from profiler.projection.ideal_times import Ideal
    from profiler.projection.work import Work

DeviceKind = Literal["GPU", "CPU", "NPU"]
Share = Annotated[float, Field(gt=0, le=1e3)]
Micros = Annotated[float, Field(ge=0, le=1e6)]
#: The kind that stands for GPUs of a kind that was not measured: "consumer GPU", "datacenter GPU", "workstation GPU".
CARDS = "GPU"
#: Classes whose share was published for several devices: the factor of a device, which images tell, is not theirs.
_OF_ALL_DEVICES = frozenset({"matvec"})
#: Precisions of vector units, of which devices reach more alike than of matrix units. Source: V100 and T4 in fp32,
#: published by NVIDIA (docs/measured), take 1.05 and 1.3 times as long as by an RTX 3090's table in fp16; A100 in tf32
#: and H100 in fp16 1.5 times.
OF_VECTOR_UNITS = frozenset({"fp32", "fp64"})
#: The largest share of a GPU's peak, where no product was measured: cards run at more than their nominal clock, and a
#: kernel's computation and memory traffic overlap. An RTX 3090 reaches 1.07 (a product of 76.3 TFLOP/s in bf16); of the
#: shares tried, 1.0 to 1.5, this one is the best for devices of which no pass was measured.
_MOST_OF_PEAK = 1.15
_MOST_GENERAL = frozenset(class_ for class_, general in MORE_GENERAL.items() if not general)


@dataclass(frozen=True, slots=True)
class TimeParts:
    """Where the time of a kernel goes."""

    compute_s: float
    memory_s: float
    #: The part that does not depend on the work.
    kernel_s: float

    @property
    def seconds(self) -> float:
        """The sum of the parts."""
        return self.compute_s + self.memory_s + self.kernel_s


@dataclass(frozen=True, slots=True)
class TimeTable:
    """The shares of the peak rates that a kind of device reaches in one mode."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: DeviceKind
    mode: Mode
    step: Step
    #: Least time of a kernel on the device, and the time in which the host launches one.
    kernel_us: Micros
    launch_us: Micros
    #: By class of operator: share of the peak rate, and share of the bandwidth. A share above 1 is that of operators
    #: whose operands are still in a cache.
    compute: dict[str, Share]
    memory: dict[str, Share]
    #: None for a table that no measurement was held against.
    validation: Validation | None = None
    #: Time of a load from memory, where a kernel has too few threads to wait for many at once.
    wait_us: Micros = 0.0
    #: Time of a pass that does not depend on its work: the call of an NPU's driver.
    pass_us: Micros = 0.0
    #: By id, chip or kind of a device, or ``CARDS``: how much longer it takes for the same operations and bytes, at its
    #: own rates, than the device that was fitted to.
    factors: dict[str, Factor] = field(default_factory=dict)
    #: The same for each kernel, whatever its work, and for its launch: the chip of an SoC takes longer than a large GPU
    #: beside a host.
    kernel_factors: dict[str, Factor] = field(default_factory=dict)
    #: Why the table stands for another one that does not exist; empty if it does not.
    stands_in: str = ""

    @property
    def source(self) -> str:
        """What the table was fitted to, in one line."""
        if self.validation is None:
            return f"time table {self.kind}, {self.mode}, {self.step}: not validated"
        v = self.validation
        return (
            f"time table {self.kind}, {self.mode}, {self.step}: {v.passes} passes, mean error {v.mean_error:.1%} "
            f"on unseen models ({v.source}, {v.date})"
        )

    @property
    def launch_s(self) -> float:
        """Seconds in which the host launches a kernel."""
        return self.launch_us * 1e-6

    @property
    def fixed_s(self) -> float:
        """Seconds of a pass that do not depend on its work."""
        return self.pass_us * 1e-6

    def parts(self, work: Work, device: Device) -> TimeParts:
        """Return the time of one call, without the factors of a device; zero for a view, which launches no kernel."""
        if not work.is_kernel:
            return TimeParts(0.0, 0.0, 0.0)
        ideal = ideal_time(work, device)
        compute_s, memory_s = self._slowed(work.class_, ideal)
        return TimeParts(compute_s, memory_s + self.wait_s(ideal), self.kernel_us * 1e-6)

    def pass_seconds(self, ideals: Mapping[str, Ideal]) -> float:
        """Return the time of a pass: of its kernels, or of their launches if these take longer; see `overlapped`."""
        return overlapped(*self.device_and_launch_s(ideals))

    def device_and_launch_s(self, ideals: Mapping[str, Ideal]) -> tuple[float, float]:
        """Return the seconds that a pass takes on the device, and those in which the host launches its kernels."""
        work_s = sum(self.work_s(class_, ideal) for class_, ideal in ideals.items())
        kernels = sum(ideal.kernels for ideal in ideals.values())
        return self.fixed_s + work_s + kernels * self.kernel_us * 1e-6, kernels * self.launch_s

    def of_device(self, device: Device, precision: str | None = None) -> TimeTable:
        """Return the table of a device, whose shares and times have its factors, or else those of its kind.

        Args:
            device: The device.
            precision: The precision of the arithmetic: in that of vector units, devices differ little.
        """
        factor = 1.0 if precision in OF_VECTOR_UNITS else _factor(self.factors, device)
        return self.slowed(factor, _factor(self.kernel_factors, device), self.reach(device, precision))

    @property
    def main(self) -> str | None:
        """Id of the device to whose passes it was fitted; None for a table that no measurement was held against."""
        return self.validation.main if self.validation else None

    def reach(self, device: Device, precision: str | None) -> float:
        """Return the largest share of the peak that a kernel reaches on a device; of the main one the passes tell."""
        if device.id == self.main:
            return math.inf
        measured = None if precision is None else device.reach(precision)
        return measured or (_MOST_OF_PEAK if self.kind == "GPU" else math.inf)

    def slowed(self, factor: float, kernel_factor: float, reach: float = math.inf) -> TimeTable:
        """Return the table of a device that takes longer.

        Args:
            factor: How many times as long it takes for its work.
            kernel_factor: The same for each kernel, and for its launch.
            reach: The largest share of the peak that its kernels reach.
        """
        return replace(
            self,
            kernel_us=kernel_factor * self.kernel_us,
            launch_us=kernel_factor * self.launch_us,
            wait_us=factor * self.wait_us,
            pass_us=factor * self.pass_us,
            compute={class_: min(reached, reach) for class_, reached in _slower(self.compute, factor).items()},
            memory=_slower(self.memory, factor),
            factors={},
            kernel_factors={},
        )

    def work_s(self, class_: str, ideal: Ideal) -> float:
        """Return the seconds of the work of a class, whatever its kernels take."""
        return sum(self._slowed(class_, ideal)) + self.wait_s(ideal)

    def wait_s(self, ideal: Ideal) -> float:
        """Return the seconds in which threads wait for loads, one after another."""
        return ideal.waits * self.wait_us * 1e-6

    def _slowed(self, class_: str, ideal: Ideal) -> tuple[float, float]:
        return ideal.compute_s / share(self.compute, class_), ideal.memory_s / share(self.memory, class_)


def _slower(shares: Mapping[str, float], factor: float) -> dict[str, float]:
    """Return the shares of a device that takes longer by a factor, but for classes whose share is that of all."""
    names = sorted({*shares, *_MOST_GENERAL, *_OF_ALL_DEVICES})
    return {class_: share(shares, class_) / (1.0 if class_ in _OF_ALL_DEVICES else factor) for class_ in names}


def _factor(factors: Mapping[str, float], device: Device) -> float:
    """Return the factor of a device, or of its chip, or of its kind, or of GPUs that are cards."""
    names = (device.id, chip(device.id), device.kind, CARDS if device.kind.endswith(CARDS) else "")
    return next((factors[name] for name in names if name in factors), 1.0)


def chip(device_id: str) -> str:
    """Return the id of a device without the size of its memory.

    Example:
        >>> chip("jetson-agx-orin-64gb"), chip("l4")
        ('jetson-agx-orin', 'l4')
    """
    return re.sub(r"-\d+gb$", "", device_id)


def overlapped(device_s: float, launch_s: float) -> float:
    """Return the time of a pass whose kernels take *device_s* on the device and *launch_s* to launch.

    The device runs kernels while the host launches others, so that the longer of the two is the time. Where both are
    near, each waits for the other at times: the fourth root of the sum of fourth powers, at most 1.19 of the longer.
    The power is that with the least error on an H100's own times (``docs/measured``): 15.6 % for 17.6 % with a maximum.

    Example:
        >>> overlapped(2e-3, 0.0), round(overlapped(2e-3, 1e-3) * 1e3, 3), round(overlapped(2e-3, 2e-3) * 1e3, 3)
        (0.002, 2.031, 2.378)
    """
    return math.sqrt(math.hypot(device_s**2, launch_s**2))


def share(shares: Mapping[str, float], class_: str) -> float:
    """Return the share of a class, or of the next more general class that has one; 1 if none has.

    Example:
        >>> share({"conv": 0.6}, "conv_1x1"), share({}, "conv")
        (0.6, 1.0)
    """
    while class_:
        if class_ in shares:
            return shares[class_]
        class_ = MORE_GENERAL.get(class_, "")
    return 1.0
