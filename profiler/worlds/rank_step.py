"""Run and profile the step of one rank: build the model on meta, divide it, allocate it, run."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError, ModelError, ProfilerError, one_line
from profiler.run.meta_kernels import grouped_products
from profiler.run.optimizers import make_optimizer
from profiler.run.step_options import checkpointed, freeze
from profiler.run.training_step import default_loss
from profiler.tally import Profile, tally
from profiler.targets import build_called, make_inputs, resolve
from profiler.trace import Session
from profiler.trace.memory_timeline import MAX_MOMENTS
from profiler.worlds.divide import DeviceMesh, blocks_of, divide_layers, replicate, styles_for
from profiler.worlds.experts import divide_experts
from profiler.worlds.packed_sequences import one_sequence_per_row
from profiler.worlds.private_names import find
from profiler.worlds.rank_findings import rank_findings
from profiler.worlds.sequences import ring_attention, share_of_sequence
from profiler.worlds.shortened import build_shortened
from profiler.worlds.stages import Stage, make_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from profiler.values.findings import Finding
    from profiler.worlds.plan import ParallelPlan
    from profiler.worlds.step import Step

    #: Positional and keyword arguments.
    Inputs = tuple[tuple[Any, ...], dict[str, Any]]


_BALANCED = "routing is taken as balanced: every expert gets as many tokens as any other"


@dataclass(frozen=True, slots=True)
class _Rank:
    """One rank while it is set up."""

    step: Step
    plan: ParallelPlan
    mesh: DeviceMesh
    #: Whether the other ranks exist: then tensors have memory.
    is_real: bool
    #: The most moments of the timeline of memory.
    moments: int
    #: Numbers of parameters of experts that other ranks have.
    elsewhere: list[int] = field(default_factory=list)

    @property
    def coordinate(self) -> int:
        """The position of this rank in the pipeline."""
        return self.plan.mesh.coordinate(torch.distributed.get_rank(), "pp")


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
    rank = _Rank(step, plan, DeviceMesh(plan), is_real, moments)
    mode = nullcontext() if is_real else fake_tensors()
    try:
        if plan.mesh.size("pp") > 1:
            model, run = _pipeline(rank, mode)
            example = None
        else:
            model, run, example = _whole_model(rank, mode)
        profile = _profile(rank, model, run, mode)
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
    rank: _Rank, names: Sequence[str], model: nn.Module, example: Inputs | None, mode: Any
) -> tuple[Finding, ...]:
    """Return what counters claim of a forward pass of this rank."""
    if example is None or rank.plan.mesh.size("cp") > 1:
        msg = "--against runs the model itself, which a rank of the axes pp and cp does not; leave those axes out"
        raise InputError(msg)
    packed = nullcontext() if rank.is_real else one_sequence_per_row()
    with mode, packed:
        return rank_findings(names, model, *example)


def _whole_model(rank: _Rank, mode: Any) -> tuple[nn.Module, Callable[[], object], Inputs]:
    """Return the divided model of a rank without a pipeline, what runs it once per microbatch, and one microbatch."""
    step, plan = rank.step, rank.plan
    model, (args, kwargs) = _build(rank)
    _divide(model, rank, styles_for(model, plan))
    with mode:
        _allocate(model, rank)
        if plan.data_parallel == "ddp":
            model = replicate(model, rank.mesh, has_peers=rank.is_real)
        batches = [_on_cpu((args, kwargs)) for _ in range(plan.microbatches)]

    def run() -> None:
        for some, named in batches:
            output = model(*some, **named)
            if step.train:
                default_loss(output).backward()

    return model, run, batches[0]


def _pipeline(rank: _Rank, mode: Any) -> tuple[nn.Module, Callable[[], object]]:
    """Return the stages of a rank, and what runs the schedule."""
    if not rank.step.train:
        msg = "a pipeline is traced in training; add --train"
        raise InputError(msg)
    stages = [_divided_stage(rank, index) for index in _stage_indices(rank)]
    with mode:
        for stage in stages:
            _allocate(stage.model, rank)
        schedule = _schedule(rank, stages)
        count = rank.plan.microbatches
        given = [_on_cpu(_repeated(stage.takes, count)) for stage in stages if stage.is_first]
        results: dict[str, Any] = {}
        if any(stage.is_last for stage in stages):
            results = {"target": torch.zeros(_batch(rank), dtype=torch.int64), "losses": []}
    models = [stage.model for stage in stages]
    model = models[0] if len(models) == 1 else nn.ModuleList(models)
    return model, lambda: schedule.step(*given, return_outputs=False, **results)


def _repeated(microbatch: torch.Tensor, count: int) -> torch.Tensor:
    """Return the batch of so many microbatches."""
    return microbatch.repeat(count, *[1] * (microbatch.dim() - 1))


def _divided_stage(rank: _Rank, index: int) -> Stage:
    """Return a stage of the pipeline with its layers divided over the other axes."""
    plan = rank.plan
    model, (args, kwargs) = _build(rank)
    inputs = [*args, *kwargs.values()]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor):
        msg = f"a pipeline takes a model of one tensor; {rank.step.target} has {len(inputs)} inputs"
        raise InputError(msg)
    styles = styles_for(model, plan)
    exchanged = None if plan.param_dtype is None else getattr(torch, plan.param_dtype)
    stage = make_stage(model, index, plan.stages, inputs[0], exchanged)
    _divide(stage.model, rank, styles)
    return stage


def _divide(model: nn.Module, rank: _Rank, styles: dict[str, Any]) -> None:
    """Divide a model, or a stage of it, over the axes of the mesh."""
    if rank.plan.expert_parallel > 1:
        tensor_mesh = rank.mesh.of("tp") if rank.plan.mesh.size("tp") > 1 else None
        rank.elsewhere.append(divide_experts(model, rank.mesh.group("ep"), tensor_mesh))
    divide_layers(model, rank.plan, rank.mesh, styles)


def _stage_indices(rank: _Rank) -> list[int]:
    """Return the stages of a rank: with several, each is as far behind the one before as there are ranks."""
    return [rank.coordinate + i * rank.plan.mesh.size("pp") for i in range(rank.plan.stages_per_rank)]


def _schedule(rank: _Rank, stages: list[Stage]) -> Any:
    """Return torch's schedule over the stages of a rank, whose shapes are known beforehand: nothing is exchanged."""
    group, device = rank.mesh.group("pp"), torch.device("cpu")
    made = [
        find("PipelineStage")(
            stage.call,
            stage.index,
            stage.stages,
            device,
            input_args=(_on_cpu(stage.takes, requires_grad=not stage.is_first),),
            output_args=(_on_cpu(stage.returns, requires_grad=True),),
            group=group,
        )
        for stage in stages
    ]
    schedule = find(rank.plan.schedule_class)
    loss = lambda output, _: default_loss(output)  # noqa: E731 - a name for the line below
    return schedule(
        made if rank.plan.stages_per_rank > 1 else made[0], n_microbatches=rank.plan.microbatches, loss_fn=loss
    )


def _profile(rank: _Rank, model: nn.Module, run: Callable[[], object], mode: Any) -> Profile:
    """Profile a step in the middle of training: the optimizer has its states."""
    step = rank.step
    products = grouped_products() if rank.plan.expert_parallel > 1 else nullcontext()  # asked where nothing is fake
    with mode, ExitStack() as stack:
        optimizer = None if step.optimizer is None else make_optimizer(step.optimizer, model)
        if optimizer is not None:
            _make_states(optimizer, model)
        if step.checkpoint:
            stack.enter_context(_checkpointed(model))
        if rank.plan.mesh.size("tp") > 1:
            stack.enter_context(find("loss_parallel")())
        stack.enter_context(products)
        stack.enter_context(nullcontext() if step.train else torch.no_grad())
        if not rank.is_real:
            stack.enter_context(one_sequence_per_row())
        ring = ring_attention(model, rank.mesh.group("cp")) if rank.plan.mesh.size("cp") > 1 else nullcontext()
        with Session(model, moments=rank.moments) as session, ring:
            run()
            if optimizer is not None:
                optimizer.step()
        return tally(session.trace())


def _make_states(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Let an optimizer create its states, as in a first step, without a gradient being computed."""
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextmanager
def _checkpointed(model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for part in model if isinstance(model, nn.ModuleList) else [model]:
            stack.enter_context(checkpointed(part, blocks_of(part)))
        yield


def _build(rank: _Rank) -> tuple[nn.Module, Inputs]:
    """Return the whole model on meta, and the inputs of one microbatch: of each sequence, what this rank has."""
    step, batch = rank.step, _batch(rank) // rank.plan.microbatches
    if step.blocks is None:
        model, target = build_called(resolve(step.target), device="meta", dtype=step.dtype)
    else:
        model, target = build_shortened(step.target, step.dtype, step.blocks)
    model.train(step.train)
    freeze(model, step.freeze)
    config = getattr(model, "config", None)
    if getattr(config, "use_cache", False):
        config.use_cache = False  # type: ignore[union-attr] # training keeps no keys and values
    inputs = make_inputs(target, model, step.specs, batch=batch, device="meta", dtype=step.dtype)
    return model, share_of_sequence(inputs, rank.plan.mesh.size("cp"))


def _batch(rank: _Rank) -> int:
    """Return the batch of a data-parallel rank.

    Raises:
        InputError: It does not divide into the microbatches.
    """
    count, batch = rank.plan.microbatches, rank.step.batch
    if batch is None:
        return count
    if batch % count:
        msg = f"a batch of {batch} does not divide into {count} microbatches; --batch is that of all of them"
        raise InputError(msg)
    return batch


def _allocate(model: nn.Module, rank: _Rank) -> None:
    """Move a model from meta to the CPU; where that has memory, fill it with small values."""
    model.to_empty(device="cpu")
    if rank.is_real:
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.fill_(1e-3) if tensor.is_floating_point() else tensor.zero_()


def _on_cpu(values: Any, *, requires_grad: bool = False) -> Any:
    """Return new tensors on the CPU like those on meta."""

    def make(tensor: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(tensor, device="cpu", requires_grad=requires_grad)

    return tree_map_only(torch.Tensor, make, values)


def _with_axes(profile: Profile, axes: dict[str, str]) -> Profile:
    """Name the axes of the mesh that span the world: torch gives them the default group, which has no name."""
    return replace(profile, groups=tuple(replace(g, axis=axes.get(g.name, g.axis)) for g in profile.groups))
