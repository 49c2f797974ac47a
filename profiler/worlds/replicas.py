"""Replicas of a model: DDP around it, over the axis dp."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from profiler.worlds.private_names import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.worlds.divide import DeviceMesh


def replicate(model: nn.Module, mesh: DeviceMesh, *, has_peers: bool) -> tuple[nn.Module, Callable[[], None]]:
    """Wrap a model in DDP; return it, and what gives the model its parameters back after a step.

    Without other processes, buckets are reduced by a hook, as DDP itself does in C++. DDP wants local tensors: what the
    axis tp divides becomes DTensors for the passes alone.
    """
    restore = _with_local_parameters(model) if mesh.has_tensor_parallel else _nothing
    group = mesh.group(mesh.shards)
    replica = nn.parallel.DistributedDataParallel(model, process_group=group, init_sync=has_peers)
    if not has_peers:
        hook = lambda group, bucket: _reduce_bucket(group, bucket)  # noqa: E731, PLW0108 - torch refuses annotations but its own
        replica.register_comm_hook(group, hook)
    return replica, restore


def unreduced(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which DDP adds up gradients without reducing them, as for all microbatches but the last."""
    return model.no_sync() if isinstance(model, nn.parallel.DistributedDataParallel) else nullcontext()


def _with_local_parameters(model: nn.Module) -> Callable[[], None]:
    """Make parameters local as torch does for DDP; return what undoes that a forward pass replaced them by DTensors."""
    find("_pre_dp_module_transform")(model)
    owned = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if hasattr(parameter, "_st_info")
    ]

    def restore() -> None:
        for module, name, parameter in owned:
            delattr(module, name)
            setattr(module, name, parameter)

    return restore


def _nothing() -> None:
    pass


def _reduce_bucket(group: Any, bucket: Any) -> torch.futures.Future[torch.Tensor]:
    buffer = bucket.buffer()
    dist.all_reduce(buffer.div_(group.size()), group=group)
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(buffer)
    return future
