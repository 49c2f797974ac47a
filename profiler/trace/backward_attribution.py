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
from torch.utils.checkpoint import CheckpointFunction

if TYPE_CHECKING:
    from types import FrameType

    from profiler.trace.thread_state import ThreadState
    from profiler.values.records import Phase


#: The node of a reentrant ``torch.utils.checkpoint``. All that it runs itself, with gradients or without, is a rerun.
_CHECKPOINT = "CheckpointFunctionBackward"


def origin_of_backward(state: ThreadState, node: Any) -> tuple[Any, Phase]:
    """Return to which autograd node the work belongs that a thread does while the engine runs *node*, and its phase.

    It is recompute if the node reruns a forward: inside a module, or with gradients enabled although the backward pass
    creates no graph. Otherwise it is the backward work of the module that created the node.

    Returns:
        The node; or None if it is work of the running module, or of the running optimizer.
    """
    task = torch._C._current_graph_task_id()
    if state.graph_task == task:
        return None, "optimizer" if state.phase == "optimizer" else "recompute"
    if task > state.newest_task:  # a backward pass begins: nodes created so far belong to what called it
        state.newest_task, state.rerun_task = task, -1
        state.nodes.record(state.creator)
    rerun = _rerunning_node(node) if torch.is_grad_enabled() else None
    if rerun is None:
        is_rerun = isinstance(node, torch._C._FunctionBase) and _is_rerun_without_grad(state, node, task)
        return node, "recompute" if is_rerun else "backward"
    state.rerun_task, state.in_rerun_function = task if rerun is node else -1, False
    return rerun, "recompute"


def _rerunning_node(node: Any) -> Any:
    """Return the node whose function was called in the forward pass and runs again now; None if none does.

    ``torch.utils.checkpoint`` reruns a function when a node inside it asks for a saved tensor: then it is the node that
    was created where the checkpoint was called. Any other is a custom ``autograd.Function`` that enables gradients.
    """
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is not None and "_recomputation_hook" in getattr(hooks[0], "__qualname__", ""):
        return _checkpoint_node(hooks[0]) or node
    return node if isinstance(node, torch._C._FunctionBase) and not _creates_graph() else None


def _is_rerun_without_grad(state: ThreadState, node: Any, task: int) -> bool:
    """Return whether a forward without gradients, that of another custom function, runs in the rerun of *node*."""
    if node.name() == _CHECKPOINT:
        return _is_checkpoint_running()
    if state.rerun_task != task:
        return False
    state.in_rerun_function |= state.nodes.has_new()  # its node is numbered before its forward runs
    return state.in_rerun_function


def _is_checkpoint_running() -> bool:
    """Return whether the node of a checkpoint runs now: not so while the engine adds the gradients that it returned."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        if frame.f_code is CheckpointFunction.backward.__code__:
            return True
        frame = frame.f_back
    return False


def _checkpoint_node(hook: Any) -> Any:
    """Return the node that a checkpoint created when it was called, from the hook with which it recomputes."""
    for cell in inspect.unwrap(hook).__closure__ or ():
        if isinstance(cell.cell_contents, ReferenceType):
            saver = getattr(cell.cell_contents(), "input_saver", None)
            return getattr(saver, "grad_fn", None)
    return None


def _creates_graph() -> bool:
    """Return whether the innermost backward pass of this thread was called with ``create_graph``."""
    frame = engine_frame()
    return frame is not None and bool(frame.f_locals["args"][2])  # (gradients, retain_graph, create_graph, …)


def engine_frame() -> FrameType | None:
    """Return the frame that called the innermost backward pass on this thread; None on a thread of the engine's own."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        frame = frame.f_back
    return frame
