"""Which module called ``torch.utils.checkpoint`` (the kind that is not reentrant), and whose function runs again now.

Such a checkpoint has no autograd node: its function is run again when any node inside asks for a saved tensor. So the
module that runs is noted when the checkpoint is made.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import _engine_run_backward
from torch.utils.checkpoint import _checkpoint_hook, _CheckpointFrame

from profiler.util.shared_context import PROCESS_LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

#: What torch keeps of one call of a checkpoint.
CheckpointCall = _CheckpointFrame
_INIT: Any = _CheckpointFrame.__init__
#: The code that runs a checkpoint's function again.
_UNPACK = next(
    code
    for code in _checkpoint_hook.__init__.__code__.co_consts
    if isinstance(code, CodeType) and code.co_name == "unpack_hook"
)
_observers: list[Callable[[CheckpointCall], None]] = []


@contextmanager
def observe_checkpoints(observer: Callable[[CheckpointCall], None]) -> Iterator[None]:
    """Call *observer* with each checkpoint that is called inside the block, on any thread."""
    with PROCESS_LOCK:
        if not _observers:
            _CheckpointFrame.__init__ = _observed_init  # type: ignore[method-assign]
        _observers.append(observer)
    try:
        yield
    finally:
        with PROCESS_LOCK:
            _observers.remove(observer)
            if not _observers:
                _CheckpointFrame.__init__ = _INIT  # type: ignore[method-assign]


def checkpoint_that_reruns() -> CheckpointCall | None:
    """Return the checkpoint whose function the running autograd node runs again; None if it runs none."""
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        return None
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code is not _engine_run_backward.__code__:
        if frame.f_code is _UNPACK:
            return frame.f_locals["frame"]  # type: ignore[no-any-return]
        frame = frame.f_back
    return None


@functools.wraps(_INIT)
def _observed_init(self: CheckpointCall, *args: Any, **kwargs: Any) -> None:
    _INIT(self, *args, **kwargs)
    for observer in tuple(_observers):
        observer(self)
