"""The model of one rank: built on meta, divided over the mesh, and allocated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError
from profiler.run.step_options import freeze
from profiler.targets import build_called, make_inputs, resolve
from profiler.worlds.divide import DeviceMesh, divide_layers
from profiler.worlds.experts import divide_experts
from profiler.worlds.sequences import share_of_sequence
from profiler.worlds.shortened import build_shortened

if TYPE_CHECKING:
    from torch import nn

    from profiler.worlds.plan import ParallelPlan
    from profiler.worlds.step import Step

    #: Positional and keyword arguments.
    Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rank:
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


def build_on_meta(rank: Rank) -> tuple[nn.Module, Inputs]:
    """Return the whole model on meta, and the inputs of one microbatch: of each sequence, what this rank has."""
    step, batch = rank.step, batch_of(rank) // rank.plan.microbatches
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


def batch_of(rank: Rank) -> int:
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


def divide(model: nn.Module, rank: Rank, styles: dict[str, Any]) -> None:
    """Divide a model, or a stage of it, over the axes of the mesh."""
    if rank.plan.expert_parallel > 1:
        tensor_mesh = rank.mesh.of("tp") if rank.plan.mesh.size("tp") > 1 else None
        rank.elsewhere.append(divide_experts(model, rank.mesh.group("ep"), tensor_mesh))
    divide_layers(model, rank.plan, rank.mesh, styles)


def allocate(model: nn.Module, rank: Rank) -> None:
    """Move a model from meta to the CPU; where that has memory, fill it with small values."""
    model.to_empty(device="cpu")
    if rank.is_real:
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.fill_(1e-3) if tensor.is_floating_point() else tensor.zero_()


def on_cpu(values: Any, *, requires_grad: bool = False) -> Any:
    """Return new tensors on the CPU like those on meta."""

    def make(tensor: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(tensor, device="cpu", requires_grad=requires_grad)

    return tree_map_only(torch.Tensor, make, values)
