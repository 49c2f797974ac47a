"""The dispatch modes of this thread, from which a mode can be removed that is not the innermost."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    _get_current_dispatch_mode_stack,
    _pop_mode,
    _push_mode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


def enter(mode: TorchDispatchMode) -> None:
    """Enter *mode* on this thread; ``remove`` leaves it."""
    TorchDispatchMode.__enter__(mode)


def modes_above(mode: TorchDispatchMode) -> list[TorchDispatchMode]:
    """List the modes of this thread that were entered after *mode*, outermost first; all of them if it is not there."""
    modes: list[TorchDispatchMode] = _get_current_dispatch_mode_stack()
    for position, other in enumerate(modes):
        if other is mode:
            return [above for above in modes[position + 1 :] if above is not mode]
    return modes


def is_entered(mode: TorchDispatchMode) -> bool:
    """Return whether *mode* is among the modes of this thread."""
    return any(other is mode for other in _get_current_dispatch_mode_stack())


def remove(mode: TorchDispatchMode) -> None:
    """Remove *mode* from the modes of this thread. Those that were entered after it stay.

    An exception between two instructions of ``with mode`` may have left it there twice.
    """
    above: list[TorchDispatchMode] = []
    while is_entered(mode):
        top = _get_current_dispatch_mode_stack()[-1]
        TorchDispatchMode.__exit__(top, None, None, None)
        if top is not mode:
            above.append(top)
    for other in reversed(above):
        TorchDispatchMode.__enter__(other)


def take_out(mode: TorchDispatchMode | None) -> None:
    """Take *mode* out of the modes of this thread, to which it was pushed. Those that were entered above it stay."""
    above = []
    while _get_current_dispatch_mode_stack():
        above.append(_pop_mode())
        if above[-1] is mode:
            above.pop()
            break
    for other in reversed(above):
        _push_mode(other)


@contextmanager
def hidden() -> Iterator[None]:
    """Hide the operators of the block from every mode of this thread, and from autograd."""
    modes: AbstractContextManager[object] = nullcontext()
    if torch._C._len_torch_dispatch_stack():
        modes = _disable_current_modes()
    with modes, torch.no_grad():
        yield
