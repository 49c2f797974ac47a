"""``world_time()``: the time of a step of a whole world on a device of the catalogue: bound, estimate and range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.devices import find_device
from profiler.devices.server import server_of
from profiler.errors import PlanError
from profiler.projection import project
from profiler.projection.communication import ComputeTime, StepTime, step_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.tally import Profile
    from profiler.values.projection import Projection
    from profiler.worlds.plan import ParallelPlan
    from profiler.worlds.world import World

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class WorldTime:
    """The projection of a world onto devices of one kind."""

    device: str
    ranks: int
    #: The time of a step of the slowest role.
    step: StepTime
    #: Tokens (or samples, if the model's input is not tokens) of a step of the whole world.
    tokens_per_step: int
    #: FLOPs of forward and backward of all ranks: without what checkpointing runs again.
    model_flops: int
    peak_ops_per_s: float

    @property
    def tokens_per_s(self) -> float:
        """Tokens of the whole world per estimated second."""
        return self.tokens_per_step / self.step.estimate_s

    @property
    def mfu(self) -> float:
        """Model FLOPs in the estimated time, relative to the peak of all devices."""
        return self.model_flops / (self.step.estimate_s * self.ranks * self.peak_ops_per_s)

    def days(self, tokens: float) -> float:
        """Return the days that a run over so many tokens takes.

        Raises:
            PlanError: The batch is empty.
        """
        if not self.tokens_per_step:
            msg = "the batch is empty, so that no run can be planned from its step; give inputs with some samples"
            raise PlanError(msg)
        return tokens / self.tokens_per_s / _DAY_S


def world_time(
    world: World, device: Device | str, *, precision: str | None = None, mode: Mode | None = None
) -> WorldTime:
    """Project the roles of a world onto a device; the slowest role sets the pace.

    Args:
        world: The traced roles.
        device: A device of the catalogue or its name; or one of the catalogue with other rates.
        precision: As for `project`.
        mode: As for `project`.

    Raises:
        UnknownNameError: There is no such device.
        DeviceError: The catalogue has no links of the device, or no rate in the precision.

    Source: MFU as in PaLM (arXiv:2204.02311), appendix B.
    """
    target = find_device(device) if isinstance(device, str) else device
    projections = [project(profile, target, precision=precision, mode=mode) for profile in world.profiles]
    peak = float(projections[0].peak_ops_per_s.value)
    return time_of_roles(world, target, [compute_time(projection) for projection in projections], peak)


def compute_time(projection: Projection) -> ComputeTime:
    """Return the time of the computation: bound, estimate, and the range that held 90 % of measurements.

    Where nothing was measured or the bandwidth is unknown, the range is the estimate.
    """
    estimate, low, high = projection.estimate_s, projection.estimate_low_s, projection.estimate_high_s
    seconds = (projection.bound_s, low or estimate, estimate, high or estimate)
    return ComputeTime(*(float(figure.value) for figure in seconds))


def time_of_roles(world: World, target: Device, computes: Sequence[ComputeTime], peak_ops_per_s: float) -> WorldTime:
    """Return the time of a step of a world from that of the computation of each of its roles.

    Raises:
        DeviceError: The catalogue has no links of the device.
    """
    server, plan = server_of(target.id), world.plan
    steps = [
        step_time(
            profile.communication,
            server,
            compute=compute,
            stages=plan.mesh.size("pp"),
            microbatches=plan.microbatches,
            chunks=plan.stages_per_rank,
        )
        for profile, compute in zip(world.profiles, computes, strict=True)
    ]
    return WorldTime(
        device=target.id,
        ranks=plan.mesh.world,
        step=max(steps, key=lambda step: step.estimate_s),
        tokens_per_step=_tokens(world.profiles[0], plan),
        model_flops=sum(p.model_flops * len(r.ranks) for p, r in zip(world.profiles, world.roles, strict=True)),
        peak_ops_per_s=peak_ops_per_s,
    )


def _tokens(first: Profile, plan: ParallelPlan) -> int:
    """Return the tokens of a step: of a microbatch of the first role, for all microbatches and ranks beside it."""
    each = first.tokens or first.samples
    return each * plan.microbatches * plan.shards * plan.mesh.size("replicate")
