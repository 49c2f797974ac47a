"""Scripted models whose kernels a fuser made: the operators inside them are not dispatched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from profiler.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn


def reject_fused_script(modules: Iterable[nn.Module]) -> None:
    """Raise if a scripted model ran kernels made by a fuser: the operators inside them are not dispatched."""
    if not any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        return
    graph = torch._C._last_executed_optimized_graph()
    fused = {node.kind() for node in graph.nodes() if "Group" in node.kind()} if graph is not None else set()
    if fused:
        kinds = ", ".join(sorted(fused))
        msg = f"the scripted model ran fused kernels ({kinds}), whose operators cannot be seen; profile the eager model"
        raise UnsupportedModelError(msg)
