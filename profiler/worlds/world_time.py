"""``world_time()``: the time of a step of a whole world on a device of the catalogue: bound, estimate and range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.devices import find_device
from profiler.devices.server import server_of
from profiler.errors import PlanError
from profiler.projection import project
from profiler.projection.communication import StepTime, step_time

if TYPE_CHECKING:
    from profiler.projection.mode import Mode
    from profiler.tally import Profile
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


def world_time(world: World, device: str, *, precision: str | None = None, mode: Mode | None = None) -> WorldTime:
    """Project the roles of a world onto a device; the slowest role sets the pace.

    Raises:
        UnknownNameError: There is no such device.
        DeviceError: The catalogue has no links of the device, or no rate in the precision.

    Source: MFU as in PaLM (arXiv:2204.02311), appendix B.
    """
    target = find_device(device)
    server, plan = server_of(target.id), world.plan
    projections = [project(profile, target, precision=precision, mode=mode) for profile in world.profiles]
    steps = [
        step_time(
            profile.communication,
            server,
            compute_bound_s=float(projection.bound_s.value),
            compute_s=float(projection.estimate_s.value),
            stages=plan.mesh.size("pp"),
            microbatches=plan.microbatches,
            chunks=plan.stages_per_rank,
        )
        for profile, projection in zip(world.profiles, projections, strict=True)
    ]
    return WorldTime(
        device=target.id,
        ranks=plan.mesh.world,
        step=max(steps, key=lambda step: step.estimate_s),
        tokens_per_step=_tokens(world.profiles[0], plan),
        model_flops=sum(p.model_flops * len(r.ranks) for p, r in zip(world.profiles, world.roles, strict=True)),
        peak_ops_per_s=float(projections[0].peak_ops_per_s.value),
    )


def _tokens(first: Profile, plan: ParallelPlan) -> int:
    """Return the tokens of a step: of a microbatch of the first role, for all microbatches and ranks beside it."""
    each = first.tokens or first.samples
    return each * plan.microbatches * plan.shards * plan.mesh.size("replicate")
