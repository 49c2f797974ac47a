"""Divide a model over the mesh of a process group: tensor-parallel layers, FSDP2's shards, DDP's replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from profiler.run.step_options import repeated_blocks
from profiler.worlds.private_names import find
from profiler.worlds.tensor_plans import tensor_styles

if TYPE_CHECKING:
    from profiler.worlds.plan import ParallelPlan


class DeviceMesh:
    """The mesh of torch of the initialised process group, with the groups of its axes."""

    def __init__(self, plan: ParallelPlan) -> None:
        """Make the process groups of every axis."""
        axes, sizes = zip(*plan.mesh.sizes, strict=True)
        self._mesh = find("init_device_mesh")("cpu", sizes, mesh_dim_names=axes)
        self._axes = axes

    def of(self, *axes: str) -> Any:
        """Return the part of the mesh with these axes."""
        return self._mesh if axes == self._axes else self._mesh[axes if len(axes) > 1 else axes[0]]

    def group(self, axis: str) -> Any:
        """Return the process group of this rank along an axis."""
        return self._mesh.get_group(axis)

    def axis_names(self) -> dict[str, str]:
        """Return the axis of each process group, by the group's name."""
        return {str(self.group(axis).group_name): axis for axis in self._axes}


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
        axes = ("dp",) if plan.data_parallel == "fsdp" else ("replicate", "dp")
        options: dict[str, Any] = {"mesh": mesh.of(*axes), "reshard_after_forward": plan.mesh.size("pp") == 1}
        if plan.param_dtype is not None:
            dtype = getattr(torch, plan.param_dtype)
            options["mp_policy"] = find("MixedPrecisionPolicy")(param_dtype=dtype, reduce_dtype=torch.float32)
        for block in blocks_of(model):
            find("fully_shard")(block, **options)
        find("fully_shard")(model, **options)


def replicate(model: nn.Module, mesh: DeviceMesh, *, has_peers: bool) -> nn.Module:
    """Wrap a model in DDP. Without other processes, its buckets are reduced by a hook, as DDP itself does in C++."""
    replica = nn.parallel.DistributedDataParallel(model, process_group=mesh.group("dp"), init_sync=has_peers)
    if not has_peers:
        hook = lambda group, bucket: _reduce_bucket(group, bucket)  # noqa: E731, PLW0108 - torch refuses annotations but its own
        replica.register_comm_hook(mesh.group("dp"), hook)
    return replica


def _reduce_bucket(group: Any, bucket: Any) -> torch.futures.Future[torch.Tensor]:
    buffer = bucket.buffer()
    dist.all_reduce(buffer.div_(group.size()), group=group)
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(buffer)
    return future


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return the blocks that are sharded and checkpointed as units: those that transformers names, or repeated ones."""
    names = getattr(model, "_no_split_modules", None) or ()
    named = [module for module in model.modules() if type(module).__name__ in names]
    return named or [block for _, block in repeated_blocks(model)]


def styles_for(model: nn.Module, plan: ParallelPlan) -> dict[str, Any]:
    """Return the styles of the layers that are divided over the axis tp; none without that axis."""
    return tensor_styles(model, plan) if plan.mesh.size("tp") > 1 else {}
