"""The options ``--on``, ``--fps``, ``--precision``, ``--utilisation``, ``--measure``: a profile on a device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import torch
from cyclopts import Parameter

from profiler.devices import find_device
from profiler.errors import CheckFailedError, InputError
from profiler.projection import project
from profiler.projection.device_memory import largest_batch, memory_needed, usable_bytes
from profiler.projection.efficiency import UTILISATION, Efficiency, FixedEfficiency
from profiler.projection.precision import choose
from profiler.projection.project import Demand
from profiler.projection.this_machine import local
from profiler.projection.training_plan import TrainingPlan
from profiler.run.count_target import count_target
from profiler.run.measure import measure
from profiler.targets import build_with_inputs
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from profiler.devices import Device
    from profiler.run.runner import Run as CountRun
    from profiler.tally import Profile
    from profiler.values.projection import Projection

_HERE = "local"
_ON = (
    "Project onto a device: an id or name of the catalogue, the name that its driver gives, your own `board.toml`, or "
    "`local` (this machine's CPU, measured once) or `local:cuda`."
)
_FPS = "With --on: how many passes a second are demanded."
_PRECISION = (
    "With --on: fp32, tf32, bf16, fp16, fp8, int8, int4 …; int8-weights and the like where weights alone are narrow. "
    "If not given, that of most of the model's MACs."
)
_UTILISATION = (
    "With --on: share of the peak to plan with. 0.3 is the lowest of eleven MLPerf results of ResNet-50 in int8 (0.305 "
    "to 0.522), which have large batches and tuned kernels: plan with more only where you measured it."
)
_MEASURE = "Run the model on this machine, and show what it takes beside the bound; --on is local, or local:cuda."
_TOKENS = "With --on and --train: tokens (or samples) of the whole run; shows days and PF-days."
_DEVICES = "With --tokens: how many devices share the run."
_DEADLINE = "With --tokens: days in which the run has to end; shows how many devices that takes."
_LARGEST = "With --on: find the largest batch that fits, by counting the model at several on meta."


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """On which device a model is to run, how often, and in which precision."""

    on: Annotated[str | None, Parameter(help=_ON)] = None
    fps: Annotated[float | None, Parameter(help=_FPS)] = None
    precision: Annotated[str | None, Parameter(help=_PRECISION)] = None
    utilisation: Annotated[float, Parameter(help=_UTILISATION)] = UTILISATION
    measure: Annotated[bool, Parameter(help=_MEASURE)] = False
    largest_batch: Annotated[bool, Parameter(help=_LARGEST)] = False
    tokens: Annotated[float | None, Parameter(help=_TOKENS)] = None
    devices: Annotated[int, Parameter(help=_DEVICES)] = 1
    deadline: Annotated[float | None, Parameter(help=_DEADLINE)] = None

    def check(self, *, training: bool = False) -> None:
        """Refuse what cannot be projected, before anything runs.

        Raises:
            InputError: An option needs another.
            PlanError: The rate or the utilisation is none.
            UnknownNameError: There is no such device.
            AmbiguousNameError: Several devices have that name.
        """
        Demand(self.fps, self.utilisation)
        TrainingPlan(self.tokens, self.devices, self.deadline)
        if self.on is None and (self.fps is not None or self.precision is not None or self.largest_batch):
            msg = "--fps, --precision and --largest-batch are about a device; name it with --on, such as --on l4"
            raise InputError(msg)
        if self.tokens is not None and (self.on is None or not training):
            msg = "--tokens is about a training run; add --train, and --on with its device"
            raise InputError(msg)
        if self.measure and training:
            msg = "--measure times a forward pass, not a training step; leave --train or --measure out"
            raise InputError(msg)
        if self.measure and self.on is not None and not _is_here(self.on):
            msg = f"--measure runs on this machine, and {self.on!r} is another; write --on local or local:cuda"
            raise InputError(msg)
        if self.on is not None and not _is_here(self.on):
            find_device(self.on)

    def add_projection(
        self,
        profile: Profile,
        target: str,
        specs: Sequence[str],
        *,
        batch: int | None,
        dtype: str | None,
        run: CountRun | None = None,
    ) -> Profile:
        """Project the profile of a target, if a device was named, and put what comes of it into the profile."""
        name = self.on or (_HERE if self.measure else None)
        if name is None:
            return profile
        device, efficiency = _resolve(name)
        found = project(
            profile,
            device,
            precision=self.precision,
            fps=self.fps,
            utilisation=self.utilisation,
            efficiency=efficiency,
            training=TrainingPlan(self.tokens, self.devices, self.deadline),
        )
        if self.measure:
            here = name.partition(":")[2] or "cpu"
            found = _measured(found, build_with_inputs(target, specs, batch=batch, dtype=dtype, device=here))
        if self.largest_batch:
            recount = partial(_recount, target, specs, dtype, run)
            found = replace(found, largest_batch=self._largest(device, recount))
        return replace(profile, projection=found)

    def judge(self, profile: Profile, *, strict: bool) -> None:
        """Fail where *strict* is asked for and the device cannot do what is demanded.

        Raises:
            CheckFailedError: The rate is above the largest, or the memory above what the device has.
        """
        found = profile.projection
        if found is not None and strict and not found.fits:
            raise CheckFailedError("--strict: " + found.shortfall)

    def _largest(self, device: Device, recount: Callable[[int], Profile]) -> Figure | None:
        """Find the largest batch that fits the usable memory; None where the memory is not known."""
        usable = usable_bytes(device)
        if usable is None:
            return None

        def needed(batch: int) -> int:
            profile = recount(batch)
            return int(memory_needed(profile, choose(profile, device, self.precision)).value)

        source = memory_needed(recount(1), choose(recount(1), device, self.precision)).source
        return Figure(largest_batch(needed, usable), "estimate", f"counted on meta; {source}")


NO_DEVICE = DeviceOptions()


def resolve_device(name: str) -> Device:
    """Find a device by name, or this machine."""
    return _resolve(name)[0]


def _resolve(name: str) -> tuple[Device, Efficiency]:
    if _is_here(name):
        machine = local(name)
        return machine.device, machine
    return find_device(name), FixedEfficiency()


def _is_here(name: str) -> bool:
    return name.partition(":")[0] == _HERE


def _recount(target: str, specs: Sequence[str], dtype: str | None, run: CountRun | None, batch: int) -> Profile:
    return count_target(target, specs=specs, batch=batch, dtype=dtype, device="meta", run=run)


def _measured(found: Projection, made: tuple[nn.Module, tuple[Any, ...], dict[str, Any]]) -> Projection:
    """Run a model here, and hold the time against the bound."""
    model, args, kwargs = made
    with torch.inference_mode():
        taken = measure(model, *args, **kwargs)
    rates = f"{taken.flops_per_s / 1e9:.4g} GFLOP/s, {taken.bytes_per_s / 1e9:.4g} GB/s"
    figure = replace(taken.figure, source=f"{taken.figure.source}: {rates}")
    share = Figure(taken.share_of(float(found.bound_s.value)), "measured", "bound ÷ measured: 1 is the bound itself")
    return replace(found, measured_s=figure, share_of_bound=share)
