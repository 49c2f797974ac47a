"""One pass of a model on a device, in a precision and a mode: its work, its bound and its estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.projection.model_bytes import compulsory_bytes
from profiler.projection.roofline import RooflineTime, roofline_bound
from profiler.projection.time_model import Estimate, TimeModel, estimate_pass
from profiler.projection.time_table_files import device_kind, time_table
from profiler.projection.work import Work, operator_work

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.mode import Mode, Step
    from profiler.projection.precision import PrecisionScheme
    from profiler.tally import Profile


class ProfileWork:
    """The work of a profile in each precision and mode: computed once, for any number of devices."""

    def __init__(self, profile: Profile) -> None:
        """Compute nothing yet."""
        self.profile = profile
        self.step = step_of(profile)
        self._kernels: dict[tuple[PrecisionScheme, Mode], tuple[Work, ...]] = {}
        self._compulsory_bytes: dict[PrecisionScheme, int] = {}

    def kernels(self, scheme: PrecisionScheme, mode: Mode) -> tuple[Work, ...]:
        """Return the kernels of the pass."""
        if (scheme, mode) not in self._kernels:
            self._kernels[scheme, mode] = tuple(operator_work(self.profile, scheme, mode))
        return self._kernels[scheme, mode]

    def compulsory_bytes(self, scheme: PrecisionScheme) -> int:
        """Return the memory traffic that no implementation avoids."""
        if scheme not in self._compulsory_bytes:
            self._compulsory_bytes[scheme] = compulsory_bytes(self.profile, scheme)
        return self._compulsory_bytes[scheme]


@dataclass(frozen=True, slots=True)
class DevicePass:
    """One pass of a model on a device."""

    profile: Profile
    device: Device
    scheme: PrecisionScheme
    mode: Mode
    model: TimeModel
    #: The kernels of the pass.
    works: tuple[Work, ...]
    compulsory_bytes: int
    bound: RooflineTime
    estimate: Estimate

    @classmethod
    def of(
        cls,
        work: ProfileWork,
        device: Device,
        scheme: PrecisionScheme,
        *,
        mode: Mode | None = None,
        model: TimeModel | None = None,
    ) -> DevicePass:
        """Compute the bound and the estimate of a pass; by default in the mode and by the table that fit the device."""
        mode = mode or default_mode(device, scheme)
        model = (model or time_table(device, mode, work.step)).of_device(device, scheme.compute)
        kernels, compulsory = work.kernels(scheme, mode), work.compulsory_bytes(scheme)
        bound = roofline_bound(kernels, compulsory, device)
        estimate = estimate_pass(kernels, device, model, precision=scheme.compute, bound_s=bound.seconds)
        return cls(work.profile, device, scheme, mode, model, kernels, compulsory, bound, estimate)

    @property
    def peak_ops_per_s(self) -> float:
        """The dense peak rate in the precision of the arithmetic, in the mode of the pass."""
        return self.device.contraction_rate(self.scheme.compute, sums_in_fp16=self.mode == "deployed")

    @property
    def entry_seconds(self) -> tuple[float, ...]:
        """The estimated seconds of all calls of each entry of the profile; their sum is the estimate.

        The operators of a merged kernel share its time in proportion to the bytes that they move on their own. What the
        estimate takes longer than all kernels, as to launch them, is shared in proportion too.
        """
        sums = [0.0] * len(self.profile.entries)
        for work in self.works:
            seconds = work.calls * self.model.parts(work, self.device).seconds
            traffic = [self.profile.entries[i].bytes_read + self.profile.entries[i].bytes_written for i in work.records]
            for index, moved in zip(work.records, traffic, strict=True):
                sums[index] += seconds * moved / sum(traffic) if sum(traffic) else seconds / len(traffic)
        total = sum(sums)
        return tuple(seconds * self.estimate.seconds / total for seconds in sums) if total else tuple(sums)

    @property
    def utilisation(self) -> float:
        """The fraction of the peak that the counted operations reach in the estimated time."""
        seconds = self.estimate.seconds
        return self.profile.totals.flops / (seconds * self.peak_ops_per_s) if seconds else 0.0


def default_mode(device: Device, scheme: PrecisionScheme | None) -> Mode:
    """Return the mode in which a model runs if none is given.

    It is ``eager``, but ``deployed`` on an NPU, which runs no eager PyTorch, and in a precision that quantises
    activations, for which inference engines are used.
    """
    quantises = scheme is not None and scheme.quantises
    return "deployed" if device_kind(device) == "NPU" or quantises else "eager"


def step_of(profile: Profile) -> Step:
    """Return whether a profile is that of a training step: whether it has a backward pass."""
    return "training" if any(entry.record.phase == "backward" for entry in profile.entries) else "inference"
