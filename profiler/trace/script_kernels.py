"""Scripted models with kernels that are not dispatched: those of a fuser, and those of oneDNN in a frozen script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import UnsupportedModelError
from profiler.trace.frozen_scripts import is_frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

#: Kinds of nodes whose kernels run below the dispatcher.
_UNSEEN = re.compile(r"Group$|MKLDNN|mkldnn_|StaticSubgraph")
#: Such nodes that hold or lay out a tensor, and compute nothing.
_FREE = frozenset({"prim::ConstantMKLDNNTensor", "prim::BroadcastMKLDNNTensors"})


def reject_unseen_kernels(modules: Iterable[nn.Module]) -> None:
    """Raise `UnsupportedModelError` if a scripted model runs kernels that are not dispatched.

    These are the kernels of a fuser, and the convolutions that ``torch.jit.optimize_for_inference`` gives to oneDNN.
    """
    scripts = [module for module in modules if isinstance(module, torch.jit.ScriptModule)]
    kinds = {kind for script in scripts for graph in _graphs(script) for kind in _kinds(graph)}
    unseen = sorted(kind for kind in kinds - _FREE if _UNSEEN.search(kind))
    if unseen:
        msg = f"the scripted model runs kernels that cannot be seen ({', '.join(unseen)}); profile the eager model"
        raise UnsupportedModelError(msg)


def _graphs(script: torch.jit.ScriptModule) -> Iterator[Any]:
    """Yield the graph of a frozen script, and that which ran last, if it was optimized."""
    if is_frozen(script):
        yield script.graph
    try:
        plans = script.get_debug_state().execution_plans
    except RuntimeError:  # it has not run often enough, or has no forward
        return
    for plan in plans.values():
        yield plan.graph


def _kinds(graph: Any) -> Iterator[str]:
    """Yield the kinds of the nodes of a graph or block, those of inner ones included."""
    for node in graph.nodes():
        yield node.kind()
        for block in node.blocks():
            yield from _kinds(block)
