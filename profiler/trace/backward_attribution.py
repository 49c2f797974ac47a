"""Attribute backward work to the module whose forward created the autograd node.

The number of the running node leads back to the module that created it (see `NodeOwners`). A node that accumulates the
gradient of a parameter has no such number: it belongs to the module that owns the parameter.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

import torch
from torch.autograd.graph import _engine_run_backward

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from profiler.trace.thread_state import ThreadState
    from profiler.values.records import Phase


#: The node of a reentrant ``torch.utils.checkpoint``. All that it runs itself, with gradients or without, is a rerun.
_CHECKPOINT = "CheckpointFunctionBackward"


def locate_backward(state: ThreadState, node: Any, owner: Callable[[torch.Tensor], str]) -> tuple[str, Phase]:
    """Return the module and phase of what runs on a thread while the engine runs *node*.

    It is recompute if the node reruns a forward: inside a module, or with gradients enabled although the backward pass
    creates no graph. Otherwise it is the backward work of the module that created the node.

    Args:
        state: What runs on the thread.
        node: The running autograd node.
        owner: Returns the path of the module that holds a parameter.
    """
    task = torch._C._current_graph_task_id()
    if state.graph_task == task:
        return state.current, "optimizer" if state.in_optimizer else "recompute"
    if task > state.newest_task:  # a backward pass begins: nodes created so far belong to what called it
        state.newest_task, state.rerun_task = task, -1
        state.nodes.record(state.creator)
    rerun = _rerunning_node(node) if torch.is_grad_enabled() else None
    if rerun is None:
        is_rerun = node.name() == _CHECKPOINT or _is_function_in_rerun(state, node, task)
        return _module_of(state, node, owner), "recompute" if is_rerun else "backward"
    state.rerun_task, state.in_rerun_function = task if rerun is node else -1, False
    return _module_of(state, rerun, owner), "recompute"


def _module_of(state: ThreadState, node: Any, owner: Callable[[torch.Tensor], str]) -> str:
    """Return the path of the module whose forward created *node*."""
    parameter = getattr(node, "variable", None)
    return state.nodes.path_of(node._sequence_nr()) if parameter is None else owner(parameter)


def _rerunning_node(node: Any) -> Any:
    """Return the node whose function was called in the forward pass and runs again now; None if none does.

    ``torch.utils.checkpoint`` reruns a function when a node inside it asks for a saved tensor: then it is the node that
    was created where the checkpoint was called. Any other is a custom ``autograd.Function`` that enables gradients.
    """
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is not None and "_recomputation_hook" in getattr(hooks[0], "__qualname__", ""):
        return _checkpoint_node(hooks[0]) or node
    return node if isinstance(node, torch._C._FunctionBase) and not _creates_graph() else None


def _is_function_in_rerun(state: ThreadState, node: Any, task: int) -> bool:
    """Return whether a custom function runs its forward, without gradients, in a forward that is rerun with them."""
    if state.rerun_task != task or not isinstance(node, torch._C._FunctionBase):
        return False
    state.in_rerun_function |= state.nodes.has_new()  # its node is numbered before its forward runs
    return state.in_rerun_function


def _checkpoint_node(hook: Any) -> Any:
    """Return the node that a checkpoint created when it was called, from the hook with which it recomputes."""
    for cell in inspect.unwrap(hook).__closure__ or ():
        if isinstance(cell.cell_contents, ReferenceType):
            saver = getattr(cell.cell_contents(), "input_saver", None)
            return getattr(saver, "grad_fn", None)
    return None


def _creates_graph() -> bool:
    """Return whether the innermost backward pass of this thread was called with ``create_graph``."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if frame.f_code is _engine_run_backward.__code__:
            return bool(frame.f_locals["args"][2])  # (gradients, retain_graph, create_graph, …)
        frame = frame.f_back
    return False
