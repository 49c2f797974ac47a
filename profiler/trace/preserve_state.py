"""Context managers that restore a model after a run: everything that it holds, its optimizer, and the random state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

from profiler.trace import dispatch_stack
from profiler.trace.dispatch_stack import hidden
from profiler.trace.module_paths import modules_of
from profiler.trace.overwrite_mode import OverwriteMode
from profiler.trace.snapshot import Snapshot
from profiler.util.interrupts import interruptible, uninterrupted
from profiler.util.random_state import save_random_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from torch.optim import Optimizer

_Result = TypeVar("_Result")


@contextmanager
def preserve_state(model: nn.Module, optimizer: Optimizer | None = None, *, trains: bool = False) -> Iterator[Snapshot]:
    """Restore the model, the optimizer and the random state when the block ends; yield what was saved.

    Restored are the modules with their attributes, parameters, buffers, hooks, modes and submodules; the lists,
    dictionaries, sets and tensors that they hold; whether parameters require gradients, and the gradients; and the
    global generators of Python, NumPy and torch. The values of buffers and other tensors are copied when the block
    begins; so are those of parameters if there is an optimizer, and those of gradients if the block *trains*. Otherwise
    each is copied when ``Snapshot.before_overwrite`` is told that an operator will overwrite it.

    Enter and leave it in a block ``with uninterrupted()``.
    """
    roots = (model,) if optimizer is None else (model, optimizer)
    restore_random_state, with_gradients = save_random_state(), torch.is_grad_enabled()
    with hidden():
        snapshot = Snapshot(*roots, parameters=optimizer is not None, gradients=trains)
    try:
        yield snapshot
    finally:
        with hidden():
            snapshot.restore()
            restore_random_state()
        torch.set_grad_enabled(with_gradients)  # what an interrupt in a context manager of the block may have left


def run_preserving(model: nn.Module, run: Callable[[], _Result]) -> _Result:
    """Return the result of *run*. The model and the random state are restored, also if it raises or is interrupted."""
    with uninterrupted(), preserve_state(model) as snapshot:
        mode = OverwriteMode(snapshot.before_overwrite)
        try:
            dispatch_stack.enter(mode)
            with interruptible():
                return run()
        finally:
            dispatch_stack.remove(mode)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch every module to eval mode; restore the mode of each when the block ends.

    The flag is set directly: ``eval()`` calls ``train(False)``, which a wrapper may have made its training loop. Enter
    and leave it in a block ``with uninterrupted()``.
    """
    modes = {module: module.training for module in modules_of(model) if hasattr(module, "training")}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
