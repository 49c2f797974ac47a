"""Attribute backward work to the module whose forward created the autograd node.

The number of the running node leads back to the module that created it (see `NodeOwners`). A node that accumulates the
gradient of a parameter has no such number: it belongs to the module that owns the parameter.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import _engine_run_backward
from torch.utils.checkpoint import CheckpointFunction

from profiler.trace.checkpoint_calls import checkpoint_that_reruns

if TYPE_CHECKING:
    from types import FrameType

    from profiler.trace.thread_state import ThreadState
    from profiler.values.records import Phase


#: The node of a reentrant ``torch.utils.checkpoint``. All that it runs itself, with gradients or without, is a rerun.
_CHECKPOINT = "CheckpointFunctionBackward"


def origin_of_backward(state: ThreadState, node: Any) -> tuple[Any, Phase]:
    """Return to what the work belongs that a thread does while the engine runs *node*, and its phase.

    It is recompute if it reruns a forward: that of a checkpoint, inside a module, or with gradients enabled although
    the backward pass creates no graph. Otherwise it is the backward work of the module that created the node.

    Returns:
        The node, or the call of a checkpoint; or None if it is work of the running module, or of the running optimizer.
    """
    task = torch._C._current_graph_task_id()
    if state.graph_task == task:
        return None, "optimizer" if state.phase == "optimizer" else "recompute"
    if task > state.newest_task:  # a backward pass begins: nodes created so far belong to what called it
        state.newest_task, state.rerun_node = task, None
        state.nodes.record(state.creator)
    checkpoint = checkpoint_that_reruns()
    if checkpoint is not None:
        state.rerun_node = None
        return checkpoint, "recompute"
    is_rerun = isinstance(node, torch._C._FunctionBase) and _is_rerun(state, node, task)
    return node, "recompute" if is_rerun else "backward"


def _is_rerun(state: ThreadState, node: Any, task: int) -> bool:
    """Return whether the node of a custom ``autograd.Function`` runs a forward again now."""
    if torch.is_grad_enabled():
        if _creates_graph():
            return False
        state.rerun_node, state.in_rerun_function = (task, node._sequence_nr()), False
        return True
    if node.name() == _CHECKPOINT:
        return _is_checkpoint_running()
    return _is_in_function_that_reruns(state, node, task)


def _is_in_function_that_reruns(state: ThreadState, node: Any, task: int) -> bool:
    """Return whether a forward without gradients, that of another custom function, runs in the rerun of *node*."""
    if state.rerun_node != (task, node._sequence_nr()):
        if not (state.nodes.has_new() and _is_applied_with_gradients(node)):
            return False
        state.rerun_node, state.in_rerun_function = (task, node._sequence_nr()), True
    state.in_rerun_function |= state.nodes.has_new()  # its node is numbered before its forward runs
    return state.in_rerun_function


def _is_applied_with_gradients(node: Any) -> bool:
    """Return whether the forward that runs in *node* is that of a function that was applied with gradients enabled.

    Gradients are off in the forward itself, but its context has then the nodes of its arguments. Only a ``forward``
    that takes a context can be asked.
    """
    frame: FrameType | None = sys._getframe(1)  # the argument of this one is the node itself
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        context = frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None
        if isinstance(context, torch._C._FunctionBase):
            return context is not node and bool(context.next_functions) and not _creates_graph()
        frame = frame.f_back
    return False


def _is_checkpoint_running() -> bool:
    """Return whether the node of a checkpoint runs now: not so while the engine adds the gradients that it returned."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        if frame.f_code is CheckpointFunction.backward.__code__:
            return True
        frame = frame.f_back
    return False


def _creates_graph() -> bool:
    """Return whether the innermost backward pass of this thread was called with ``create_graph``."""
    frame = engine_frame()
    return frame is not None and bool(frame.f_locals["args"][2])  # (gradients, retain_graph, create_graph, …)


def runs_update_hook() -> bool:
    """Return whether a hook runs that is called when the gradient of a parameter has been accumulated.

    What torch itself does there, such as the exchanges of its distributed wrappers, is not meant.
    """
    variable = getattr(torch._C._current_autograd_node(), "variable", None)
    if variable is None or not getattr(variable, "_post_accumulate_grad_hooks", None):
        return False
    outermost, frame = None, inspect.currentframe()
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        outermost, frame = frame, frame.f_back
    if outermost is None or outermost.f_code.co_name == "__torch_dispatch__":  # the engine adds the gradient itself
        return False
    before = {getattr(hook, "__code__", None) for hook in (variable._backward_hooks or {}).values()}
    is_torchs = outermost.f_globals.get("__name__", "").startswith("torch.distributed.")
    return outermost.f_code not in before and not is_torchs


def engine_frame() -> FrameType | None:
    """Return the frame that called the innermost backward pass on this thread; None on a thread of the engine's own."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        frame = frame.f_back
    return frame
