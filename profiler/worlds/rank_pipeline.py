"""The stages of one rank of a pipeline, and torch's schedule over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from profiler.errors import InputError
from profiler.run.training_step import default_loss
from profiler.worlds.divide import styles_for
from profiler.worlds.private_names import find
from profiler.worlds.rank_model import allocate, batch_of, build_on_meta, divide, on_cpu
from profiler.worlds.stages import Stage, make_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.worlds.rank_model import Rank


def make_pipeline(rank: Rank, mode: Any) -> tuple[nn.Module, Callable[[], object], dict[str, torch.Tensor]]:
    """Return the stages of a rank, what runs the schedule, and what the first of them takes of a microbatch."""
    if not rank.step.train:
        msg = "a pipeline is traced in training; add --train"
        raise InputError(msg)
    stages = [_divided_stage(rank, index) for index in _stage_indices(rank)]
    with mode:
        for stage in stages:
            allocate(stage.model, rank)
        schedule = _schedule(rank, stages)
        count = rank.plan.microbatches
        given = [on_cpu(_repeated(stage.takes, count)) for stage in stages if stage.is_first]
        results: dict[str, Any] = {}
        if any(stage.is_last for stage in stages):
            results = {"target": torch.zeros(batch_of(rank), dtype=torch.int64), "losses": []}
    models = [stage.model for stage in stages]
    model = models[0] if len(models) == 1 else nn.ModuleList(models)
    taken = {"input": stages[0].takes}
    return model, lambda: schedule.step(*given, return_outputs=False, **results), taken


def _repeated(microbatch: torch.Tensor, count: int) -> torch.Tensor:
    """Return the batch of so many microbatches."""
    return microbatch.repeat(count, *[1] * (microbatch.dim() - 1))


def _divided_stage(rank: Rank, index: int) -> Stage:
    """Return a stage of the pipeline with its layers divided over the other axes."""
    plan = rank.plan
    model, (args, kwargs) = build_on_meta(rank)
    inputs = [*args, *kwargs.values()]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor):
        msg = f"a pipeline takes a model of one tensor; {rank.step.target} has {len(inputs)} inputs"
        raise InputError(msg)
    styles = styles_for(model, plan)
    exchanged = None if plan.param_dtype is None else getattr(torch, plan.param_dtype)
    stage = make_stage(model, index, plan.stages, inputs[0], exchanged)
    divide(stage.model, rank, styles)
    return stage


def _stage_indices(rank: Rank) -> list[int]:
    """Return the stages of a rank: with several, each is as far behind the one before as there are ranks."""
    return [rank.coordinate + i * rank.plan.mesh.size("pp") for i in range(rank.plan.stages_per_rank)]


def _schedule(rank: Rank, stages: list[Stage]) -> Any:
    """Return torch's schedule over the stages of a rank, whose shapes are known beforehand: nothing is exchanged."""
    group, device = rank.mesh.group("pp"), torch.device("cpu")
    made = [
        find("PipelineStage")(
            stage.model,
            stage.index,
            stage.stages,
            device,
            input_args=(on_cpu(stage.takes, requires_grad=not stage.is_first),),
            output_args=(on_cpu(stage.returns, requires_grad=True),),
            group=group,
        )
        for stage in stages
    ]
    schedule = find(rank.plan.schedule_class)
    loss = lambda output, _: default_loss(output)  # noqa: E731 - a name for the line below
    return schedule(
        made if rank.plan.stages_per_rank > 1 else made[0], n_microbatches=rank.plan.microbatches, loss_fn=loss
    )
