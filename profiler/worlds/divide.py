"""Divide a model over the mesh of a process group: tensor-parallel layers, FSDP2's shards, DDP's replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from profiler.run.step_options import repeated_blocks
from profiler.worlds.experts import divided_experts
from profiler.worlds.mesh import expert_mesh
from profiler.worlds.private_names import find
from profiler.worlds.tensor_plans import tensor_styles

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.worlds.mesh import Mesh
    from profiler.worlds.plan import ParallelPlan


class DeviceMesh:
    """The mesh of torch of the initialised process group, with the groups of its axes.

    The axes dp and cp are one of it: parameters are sharded, or replicated, over both. What shares a sequence, and what
    divides experts, have process groups of their own.
    """

    def __init__(self, plan: ParallelPlan) -> None:
        """Make the process groups of every axis."""
        #: The name of the axis over which parameters are sharded or replicated.
        self.shards = "dp_cp" if plan.mesh.size("cp") > 1 else "dp"
        self._plan = plan
        self._sizes = _with_shards(plan, {self.shards: plan.shards})
        self._mesh = _torch_mesh(self._sizes)
        self._groups = {"cp": _subgroup(plan.mesh, "cp")} if plan.mesh.size("cp") > 1 else {}
        self._experts: Any = None
        if plan.expert_parallel > 1:
            experts = expert_mesh(plan.mesh, plan.expert_parallel)
            self._experts = _torch_mesh(dict(experts.sizes))
            self._groups["ep"] = _subgroup(experts, "ep")

    @property
    def has_tensor_parallel(self) -> bool:
        """Whether layers are divided over the axis tp."""
        return self._plan.mesh.size("tp") > 1

    def of(self, *axes: str) -> Any:
        """Return the part of the mesh with these axes."""
        return _part(self._mesh, axes)

    def sharding(self, *, of_experts: bool = False) -> Any:
        """Return the part over which FSDP2 shards parameters, which is a smaller one for those of experts."""
        shards = "edp" if of_experts else self.shards
        axes = ("replicate", shards) if self._plan.data_parallel == "hsdp" else (shards,)
        return _part(self._experts if of_experts else self._mesh, axes)

    def group(self, axis: str) -> Any:
        """Return the process group of this rank along an axis."""
        return self._groups.get(axis) or self._mesh.get_group(axis)

    def axis_names(self) -> dict[str, str]:
        """Return the axis of each process group, by the group's name."""
        return {str(self.group(axis).group_name): axis for axis in (*self._sizes, *self._groups)}


def _with_shards(plan: ParallelPlan, shards: dict[str, int]) -> dict[str, int]:
    """Return the sizes of the axes in their order, with *shards* in the place of dp and cp."""
    sizes: dict[str, int] = {}
    for axis, size in plan.mesh.sizes:
        sizes |= shards if axis in {"dp", "cp"} else {axis: size}
    return sizes


def _torch_mesh(sizes: dict[str, int]) -> Any:
    return find("init_device_mesh")("cpu", tuple(sizes.values()), mesh_dim_names=tuple(sizes))


def _part(mesh: Any, axes: tuple[str, ...]) -> Any:
    return mesh if axes == mesh.mesh_dim_names else mesh[axes if len(axes) > 1 else axes[0]]


def _subgroup(mesh: Mesh, axis: str) -> Any:
    """Return the process group of this rank along an axis, which is none that torch has already made."""
    group, _ = dist.new_subgroups_by_enumeration(mesh.groups(axis), group_desc=f"mesh_{axis}")
    return group


def divide_layers(model: nn.Module, plan: ParallelPlan, mesh: DeviceMesh, styles: dict[str, Any]) -> None:
    """Divide the layers that *styles* names over the axis tp, and shard parameters with FSDP2.

    *model* may be one stage of a pipeline: what it lacks is skipped. Gathered parameters are then
    kept until the backward pass, since the next microbatch needs them again.

    Source: torchtitan, torchtitan/models/llama3/infra/parallelize.py (reshard_after_forward "default").
    """
    own = {path for path, _ in model.named_modules()}
    present = {path: style for path, style in styles.items() if path in own}
    if present:
        find("parallelize_module")(model, mesh.of("tp"), present)
    if plan.data_parallel in {"fsdp", "hsdp"}:
        options: dict[str, Any] = {"mesh": mesh.sharding(), "reshard_after_forward": plan.mesh.size("pp") == 1}
        if plan.param_dtype is not None:
            dtype = getattr(torch, plan.param_dtype)
            options["mp_policy"] = find("MixedPrecisionPolicy")(param_dtype=dtype, reduce_dtype=torch.float32)
        for layer in divided_experts(model):
            where = mesh.sharding(of_experts=True)
            find("fully_shard")(layer, **options | {"mesh": where, "shard_placement_fn": _divisible(where.size(-1))})
        for block in blocks_of(model):
            find("fully_shard")(block, **options)
        find("fully_shard")(model, **options)


def _divisible(shards: int) -> Callable[[nn.Parameter], Any]:
    """Return what lets FSDP2 shard the parameters of experts along a dimension that divides: experts may be few.

    Source: torchtitan, torchtitan/models/llama4/infra/parallelize.py (``_experts_shard_placement_fn``).
    """

    def placement(parameter: nn.Parameter) -> Any:
        return find("Shard")(next((dim for dim, size in enumerate(parameter.shape) if size % shards == 0), 0))

    return placement


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return the blocks that are sharded and checkpointed as units: those that transformers names, or repeated ones."""
    names = set(getattr(model, "_no_split_modules", None) or ())
    # FSDP2 gives a module a class of its own
    named = [module for module in model.modules() if names & {class_.__name__ for class_ in type(module).__mro__}]
    return named or [block for _, block in repeated_blocks(model)]


def has_blocks(model: nn.Module) -> bool:
    """Return whether a model, or a stage, should have blocks: one of transformers may have the embedding alone."""
    return not getattr(model, "_no_split_modules", None) or bool(blocks_of(model))


def styles_for(model: nn.Module, plan: ParallelPlan) -> dict[str, Any]:
    """Return the styles of the layers that are divided over the axis tp; none without that axis."""
    return tensor_styles(model, plan) if plan.mesh.size("tp") > 1 else {}
