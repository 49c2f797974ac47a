"""Run and profile the step of one rank: a model, or the stages of a pipeline, in the middle of training."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from profiler.errors import InputError, ModelError, ProfilerError, one_line
from profiler.run.meta_kernels import grouped_products
from profiler.run.optimizers import make_optimizer
from profiler.run.step_options import checkpointed
from profiler.run.training_step import default_loss
from profiler.tally import Profile, tally
from profiler.trace import Session
from profiler.trace.first_call import named_arguments
from profiler.trace.memory_timeline import MAX_MOMENTS
from profiler.worlds.divide import DeviceMesh, blocks_of, has_blocks, styles_for
from profiler.worlds.packed_sequences import one_sequence_per_row
from profiler.worlds.private_names import find
from profiler.worlds.rank_findings import rank_findings
from profiler.worlds.rank_model import Rank, allocate, build_on_meta, divide, on_cpu
from profiler.worlds.rank_pipeline import make_pipeline
from profiler.worlds.replicas import replicate, unreduced
from profiler.worlds.sequences import RingAttention, check_mixing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from profiler.run.selective_checkpoint import Checkpointing
    from profiler.values.findings import Finding
    from profiler.worlds.plan import ParallelPlan
    from profiler.worlds.rank_model import Inputs
    from profiler.worlds.step import Step


_BALANCED = "routing is taken as balanced: every expert gets as many tokens as any other"


def profile_rank(
    step: Step,
    plan: ParallelPlan,
    *,
    is_real: bool = False,
    against: Sequence[str] = (),
    moments: int = MAX_MOMENTS,
) -> Profile:
    """Profile the step of the rank that the default process group is.

    Args:
        step: What runs.
        plan: How it is divided.
        against: Counters to compare a forward pass with, of those in `rank_findings.COUNTERS`.
        is_real: Whether the process group has other processes, and tensors are to have memory.
        moments: The most moments of the timeline of memory.

    Raises:
        InputError: The model, the step and the plan do not fit.
        ModelError: The model raised.
    """
    rank = Rank(step, plan, DeviceMesh(plan), is_real, moments)
    mode = nullcontext() if is_real else fake_tensors()
    try:
        if plan.mesh.size("pp") > 1:
            model, run, taken = make_pipeline(rank, mode)
            example = None
        else:
            model, run, example = _whole_model(rank, mode)
            taken = {}
        profile = _profile(rank, model, run, mode)
        if not profile.inputs:  # several stages: nothing calls the list of them
            profile = replace(profile, inputs=named_arguments(None, (), taken))
        if against:
            profile = replace(profile, findings=_findings(rank, against, model, example, mode))
    except ProfilerError:
        raise
    except Exception as error:
        msg = f"{step.target} raised {one_line(error)} on rank {torch.distributed.get_rank()}"
        raise ModelError(msg) from error
    if rank.elsewhere:
        whole = (profile.global_params or 0) + sum(rank.elsewhere)
        note = f"experts are divided over {plan.expert_parallel} ranks; {_BALANCED}"
        profile = replace(profile, global_params=whole, notes=(*profile.notes, note))
    return _with_axes(profile, rank.mesh.axis_names())


def fake_tensors() -> Any:
    """Return a mode in which tensors on the CPU have shapes, dtypes and storages, but no memory."""
    return find("FakeTensorMode")(allow_non_fake_inputs=True)


def _findings(
    rank: Rank, names: Sequence[str], model: nn.Module, example: Inputs | None, mode: Any
) -> tuple[Finding, ...]:
    """Return what counters claim of a forward pass of this rank."""
    if example is None or rank.plan.mesh.size("cp") > 1:
        msg = "--against runs the model itself, which a rank of the axes pp and cp does not; leave those axes out"
        raise InputError(msg)
    packed = nullcontext() if rank.is_real else one_sequence_per_row()
    with mode, packed:
        return rank_findings(names, model, *example)


def _whole_model(rank: Rank, mode: Any) -> tuple[nn.Module, Callable[[], object], Inputs]:
    """Return the divided model of a rank without a pipeline, what runs it once per microbatch, and one microbatch."""
    step, plan = rank.step, rank.plan
    model, (args, kwargs) = build_on_meta(rank)
    divide(model, rank, styles_for(model, plan))
    restore = None
    with mode:
        allocate(model, rank)
        if plan.data_parallel == "ddp":
            model, restore = replicate(model, rank.mesh, has_peers=rank.is_real)
        batches = [on_cpu((args, kwargs)) for _ in range(plan.microbatches)]

    def run() -> None:
        for i, (some, named) in enumerate(batches):
            with unreduced(model) if i < len(batches) - 1 else nullcontext():
                output = model(*some, **named)
                if step.train:
                    default_loss(output).backward()
        if restore is not None:
            restore()

    return model, run, batches[0]


def _profile(rank: Rank, model: nn.Module, run: Callable[[], object], mode: Any) -> Profile:
    """Profile a step in the middle of training: the optimizer has its states."""
    step = rank.step
    ring = RingAttention(rank.mesh.group("cp")) if rank.plan.mesh.size("cp") > 1 else None
    if ring is not None:
        check_mixing(model)
    products = grouped_products() if rank.plan.expert_parallel > 1 else nullcontext()  # asked where nothing is fake
    with mode, ExitStack() as stack:
        optimizer = None if step.optimizer is None else make_optimizer(step.optimizer, model)
        if optimizer is not None:
            _make_states(optimizer, model)
        if step.checkpoint:
            stack.enter_context(_checkpointed(model, step.checkpoint, ring))
        if rank.plan.mesh.size("tp") > 1:
            stack.enter_context(find("loss_parallel")())
        stack.enter_context(products)
        stack.enter_context(nullcontext() if step.train else torch.no_grad())
        if not rank.is_real:
            stack.enter_context(one_sequence_per_row())
        with Session(model, moments=rank.moments) as session, ring or nullcontext():
            run()
            if optimizer is not None:
                optimizer.step()
        if ring is not None:
            ring.check_calls(model)
        return tally(session.trace())


def _make_states(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Let an optimizer create its states, as in a first step, without a gradient being computed."""
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextmanager
def _checkpointed(model: nn.Module, how: Checkpointing, ring: RingAttention | None) -> Iterator[None]:
    with ExitStack() as stack:
        for part in model if isinstance(model, nn.ModuleList) else [model]:
            if has_blocks(part):
                stack.enter_context(checkpointed(part, blocks_of(part), how=how, recompute_in=ring))
        yield


def _with_axes(profile: Profile, axes: dict[str, str]) -> Profile:
    """Name the axes of the mesh that span the world: torch gives them the default group, which has no name."""
    return replace(profile, groups=tuple(replace(g, axis=axes.get(g.name, g.axis)) for g in profile.groups))
