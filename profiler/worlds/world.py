"""``world()``: the profiles of the distinct roles in a world of many ranks, each traced in a process of its own."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.tally.figures import Totals, sum_totals
from profiler.worlds.mesh import parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.roles import Role, check_rank, distinct_roles
from profiler.worlds.step import Step
from profiler.worlds.worker import profile_in_process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.run.selective_checkpoint import Checkpointing
    from profiler.tally import Profile
    from profiler.worlds.plan import DataParallel


@dataclass(frozen=True, slots=True)
class World:
    """The profiles of the distinct roles in a world."""

    target: str
    plan: ParallelPlan
    roles: tuple[Role, ...]
    #: The profile of the traced rank of each role.
    profiles: tuple[Profile, ...]

    @property
    def totals(self) -> Totals:
        """The work of all ranks together, each with that of the traced rank of its role; without a peak of memory."""
        return sum_totals(
            profile.totals for role, profile in zip(self.roles, self.profiles, strict=True) for _ in role.ranks
        )

    def profile_of(self, rank: int) -> Profile:
        """Return the profile of the role that a rank has.

        Raises:
            InputError: The world has no such rank.
        """
        check_rank(rank, self.plan)
        return next(p for role, p in zip(self.roles, self.profiles, strict=True) if rank in role.ranks)


def world(
    target: str,
    mesh: str,
    *,
    inputs: Sequence[str] = (),
    batch: int | None = None,
    dtype: str | None = None,
    param_dtype: str | None = None,
    data_parallel: DataParallel = "none",
    tp_plan: str | None = None,
    schedule: str = "1f1b",
    microbatches: int = 1,
    context_parallel: int = 1,
    expert_parallel: int = 1,
    train: bool = True,
    optimizer: str | None = None,
    checkpoint: Checkpointing = False,
    freeze: Sequence[str] = (),
) -> World:
    """Profile the distinct roles in a world of many ranks, on this machine.

    Args:
        target: The model, as on the command line: ``hf:NAME``, ``file.py:factory`` …
        mesh: The axes with their sizes, such as ``"dp=8,tp=8,pp=16"``.
        inputs: Input specifications, such as ``input_ids=1x8192``.
        batch: The batch of one data-parallel rank, of all its microbatches; by default one sample per microbatch.
        dtype: Floating dtype of parameters and inputs; None keeps the model's own.
        param_dtype: The dtype in which FSDP gathers parameters; gradients are then reduced in float32.
        data_parallel: How the axis dp is used: "ddp", "fsdp", or "hsdp" with the axis replicate.
        tp_plan: ``"auto"`` for the plan of transformers (the default with an axis tp), or ``"file.py:name"``.
        schedule: "gpipe", "1f1b", or "interleaved:2" with two stages of the pipeline on each rank.
        microbatches: Into how many parts the batch of a rank is divided.
        context_parallel: How many ranks of the axis dp share each sequence; the axis cp of *mesh* says the same.
        expert_parallel: Over how many ranks of the axes dp, cp and tp experts are divided; routing is balanced.
        train: Profile a training step; otherwise a forward pass.
        optimizer: Name of an optimizer of ``torch.optim``.
        checkpoint: Run the blocks under activation checkpointing; "selective" as torchtitan does: the results of
            attention and of every second matrix product are kept.
        freeze: Names of parameters without gradients; ``*`` matches anything.

    Returns:
        The roles, and the profile of one rank of each.

    Raises:
        InputError: The model, the mesh and the options do not fit.
        ModelError: The model raised.
        InstallationError: This version of PyTorch lacks something that is needed.
    """
    axes = parse_mesh(mesh, context_parallel=context_parallel)
    plan = ParallelPlan(axes, data_parallel, tp_plan, schedule, microbatches, param_dtype, expert_parallel)
    step = Step(target, tuple(inputs), batch, dtype, train, optimizer, checkpoint, tuple(freeze))
    return trace_roles(step, plan)


def trace_roles(step: Step, plan: ParallelPlan) -> World:
    """Profile one rank of each role; the roles are traced at the same time, as far as there are cores."""
    roles = distinct_roles(plan)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        futures = [pool.submit(profile_in_process, step, plan, role.rank) for role in roles]
        profiles = tuple(future.result() for future in futures)
    return World(step.target, plan, roles, profiles)
