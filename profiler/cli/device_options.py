"""The options ``--on``, ``--fps``, ``--precision``, ``--measure`` …: project a profile onto a device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.cli.name_lists import split_names
from profiler.cli.subjects import DEVICE
from profiler.errors import CheckFailedError, DeviceError, InputError
from profiler.values.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.report.world_tables import WorldTimeRow
    from profiler.run.runner import Run
    from profiler.tally import Profile
    from profiler.worlds.world import World

_ON = (
    "Device to project onto: an id or name of the catalogue, the name that the driver reports, your own TOML file, "
    "`local` (this machine's CPU, measured once) or `local:cuda`. Several, separated by commas, are shown side by side."
)
_FPS = "With --on: passes per second that the device has to sustain."
_PRECISION = (
    "With --on: fp32, tf32, bf16, fp16, fp8, int8, int4 …, or for weight-only quantization int8-weights and the like. "
    "By default the precision of most of the model's MACs."
)
_MODE = (
    "With --on: how the model runs: `eager`, `channels_last` (eager in that memory format), `compiled` "
    "(torch.compile) or `deployed` (an inference engine: batch norms folded, pointwise operators fused). By default "
    "eager; deployed on an NPU, and where activations are quantised."
)
_UTILISATION = "With --fps: fraction of the peak that the required TOPS assume; by default that of the estimate."
_RATE = "With --on: passes (or training steps) per second that you measured; adds what they achieve, as MFU and HFU."
_EFFICIENCY = "With --on: a time table that `profiler calibrate` wrote, instead of the package's."
_MEASURE = "Time the model on this machine and compare the time with the bound; --on has to be local or local:cuda."
_TOKENS = "With --on and --train: tokens (or samples) of the whole training run; adds days and PF-days."
_DEVICES = "With --tokens: number of devices that share the run."
_DEADLINE = "With --tokens: days until the run must end; adds the number of devices that are required."
_LARGEST_BATCH = "With --on: find the largest batch that fits, by counting the model at several batch sizes on meta."


@Parameter(name="*", group=DEVICE)
@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """The device to project onto, the required rate, and the precision."""

    on: Annotated[str | None, Parameter(help=_ON)] = None
    fps: Annotated[float | None, Parameter(help=_FPS)] = None
    precision: Annotated[str | None, Parameter(help=_PRECISION)] = None
    mode: Annotated[Mode | None, Parameter(help=_MODE)] = None
    utilisation: Annotated[float | None, Parameter(help=_UTILISATION)] = None
    efficiency: Annotated[Path | None, Parameter(help=_EFFICIENCY)] = None
    rate: Annotated[float | None, Parameter(help=_RATE)] = None
    measure: Annotated[bool, Parameter(help=_MEASURE)] = False
    largest_batch: Annotated[bool, Parameter(help=_LARGEST_BATCH)] = False
    tokens: Annotated[float | None, Parameter(help=_TOKENS)] = None
    devices: Annotated[int, Parameter(help=_DEVICES)] = 1
    deadline: Annotated[float | None, Parameter(help=_DEADLINE)] = None

    def check(self, *, training: bool = False) -> None:
        """Validate the options before a model runs.

        Raises:
            InputError: An option needs another one.
            PlanError: A number is out of range.
            UnknownNameError: There is no such device.
            AmbiguousNameError: Several devices match the name.
        """
        if self == DeviceOptions():
            return
        from profiler.devices import find_device
        from profiler.projection.demand import Demand
        from profiler.projection.this_machine import is_this_machine
        from profiler.projection.training_plan import TrainingPlan

        Demand(self.fps, self.utilisation)
        TrainingPlan(self.tokens, self.devices, self.deadline)
        needing = {
            "--fps": self.fps, "--precision": self.precision, "--mode": self.mode, "--efficiency": self.efficiency,
            "--utilisation": self.utilisation, "--rate": self.rate, "--largest-batch": self.largest_batch or None,
        }  # fmt: skip
        if self.on is None and any(value is not None for value in needing.values()):
            given = " and ".join(name for name, value in needing.items() if value is not None)
            msg = f"{given} needs a device; name it with --on, such as --on l4"
            raise InputError(msg)
        if self.efficiency is not None:
            from profiler.projection.time_table_files import read_time_table

            read_time_table(self.efficiency)
        if self.tokens is not None and (self.on is None or not training):
            msg = "--tokens plans a training run; add --train, and --on with the device"
            raise InputError(msg)
        if self.measure and training:
            msg = "--measure times a forward pass, not a training step; remove --train or --measure"
            raise InputError(msg)
        if self.measure and self.on is not None and not is_this_machine(self.on):
            msg = f"--measure runs on this machine, but --on names {self.on!r}; write --on local or local:cuda"
            raise InputError(msg)
        self._check_several()
        for name in self.names:
            if not is_this_machine(name):
                find_device(name)

    def _check_several(self) -> None:
        """Raise an ``InputError`` for an option that needs a single device, if several are named."""
        needing = {
            "--tokens": self.tokens, "--efficiency": self.efficiency, "--utilisation": self.utilisation,
            "--rate": self.rate, "--largest-batch": self.largest_batch or None,
        }  # fmt: skip
        given = " and ".join(name for name, value in needing.items() if value is not None)
        if self.are_several and given:
            msg = f"{given} needs a single device, and --on names {len(self.names)}; name one"
            raise InputError(msg)

    @property
    def names(self) -> list[str]:
        """The devices that ``--on`` names, separated by commas."""
        names = [] if self.on is None else split_names(self.on)
        return names if len(names) == 1 else [name for name in names if name]

    @property
    def are_several(self) -> bool:
        """Whether ``--on`` names more than one device."""
        return len(self.names) > 1

    def side_by_side(self, profile: Profile, target: str) -> str:
        """Return the table of the devices, if ``--on`` names several; otherwise nothing.

        Raises:
            DeviceError: None of them has the precision.
        """
        if not self.are_several:
            return ""
        from profiler.devices import find_device
        from profiler.projection.ranking import rank
        from profiler.report.rankings import RANKING_FORMATS, RankingReport

        devices = [find_device(name) for name in self.names]
        ranking = rank(profile, devices, precision=self.precision, mode=self.mode, fps=self.fps)
        if not ranking.rows:
            msg = f"none of {', '.join(device.id for device in devices)} has the precision and a known bandwidth"
            raise DeviceError(msg)
        return RANKING_FORMATS.render(RankingReport(ranking, target, self.precision, self.fps), "text")

    def check_links(self) -> None:
        """Raise a ``DeviceError`` if the catalogue has no links of the device, over which ranks exchange."""
        if self.on is not None:
            from profiler.devices import find_device
            from profiler.devices.server import server_of

            if self.are_several:
                msg = f"--on names {len(self.names)} devices for one world; name one"
                raise InputError(msg)
            server_of(find_device(self.on).id)

    def world_time(self, world: World) -> WorldTimeRow | None:
        """Return the time of a step of a world on the device; None if no device was named."""
        if self.on is None:
            return None
        from profiler.report.world_tables import WorldTimeRow
        from profiler.worlds.world_time import world_time

        time = world_time(world, self.on, precision=self.precision, mode=self.mode)
        return WorldTimeRow(
            device=time.device,
            bound_s=time.step.bound_s,
            low_s=time.step.low_s,
            estimate_s=time.step.estimate_s,
            high_s=time.step.high_s,
            bubble=time.step.bubble,
            tokens_per_s=time.tokens_per_s,
            ranks=time.ranks,
            mfu=time.mfu,
            days=None if self.tokens is None else time.days(self.tokens),
        )

    def add_projection(
        self,
        profile: Profile,
        target: str,
        specs: Sequence[str],
        *,
        batch: int | None,
        dtype: str | None,
        run: Run | None = None,
    ) -> Profile:
        """Return the profile of a target with its projection; unchanged if no device was named."""
        if (self.on is None and not self.measure) or self.are_several:
            return profile
        from profiler.projection.measured_machine import LOCAL
        from profiler.projection.training_plan import TrainingPlan
        from profiler.run.project_target import ProjectionRequest, project_target

        request = ProjectionRequest(
            self.on or LOCAL,
            precision=self.precision,
            fps=self.fps,
            utilisation=self.utilisation,
            mode=self.mode,
            rate=self.rate,
            efficiency=self.efficiency,
            training=TrainingPlan(self.tokens, self.devices, self.deadline),
            measure=self.measure,
            largest_batch=self.largest_batch,
        )
        projection = project_target(profile, request, target, specs, batch=batch, dtype=dtype, run=run)
        return replace(profile, projection=projection)

    def judge(self, profile: Profile, *, strict: bool) -> None:
        """Raise an error if *strict* and the profile does not fit the device.

        Raises:
            CheckFailedError: The device does not sustain the rate, or lacks the memory.
        """
        projection = profile.projection
        if projection is not None and strict and not projection.fits:
            raise CheckFailedError("--strict: " + projection.shortfall)


NO_DEVICE = DeviceOptions()
