"""Follow a profiled block onto the threads that it starts, and onto those of a pool to which it gives work.

A dispatch mode sees its own thread alone. While anything observes, ``threading.Thread.start`` and
``ThreadPoolExecutor.submit`` hand the mode on, if they are called where it is entered. A thread that was started before
the block and takes work some other way (a queue of its own) is seen only while it runs modules of the model.
"""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

from torch.utils._python_dispatch import _push_mode

from profiler.trace import dispatch_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.utils._python_dispatch import TorchDispatchMode

_POOLS = "concurrent.futures.thread"
_modes: list[TorchDispatchMode] = []
_lock = RLock()
_start: Any = threading.Thread.start
_submit: Any = ThreadPoolExecutor.submit


@contextmanager
def hand_on(mode: TorchDispatchMode) -> Iterator[None]:
    """Enter *mode*, too, where a thread that has entered it starts another, or submits work to a pool, in the block."""
    with _lock:
        if not _modes:
            threading.Thread.start = _observed_start  # type: ignore[method-assign]
            ThreadPoolExecutor.submit = _observed_submit  # type: ignore[method-assign, assignment]
        _modes.append(mode)
    try:
        yield
    finally:
        with _lock:
            _modes.remove(mode)
            if not _modes:
                _restore()


def _restore() -> None:
    """Put the methods back; one that somebody else has replaced meanwhile stays."""
    if vars(threading.Thread)["start"] is _observed_start:
        threading.Thread.start = _start  # type: ignore[method-assign]
    if vars(ThreadPoolExecutor)["submit"] is _observed_submit:
        ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]


@functools.wraps(_start)
def _observed_start(self: threading.Thread) -> None:
    target = getattr(self, "_target", None)
    if getattr(target, "__module__", None) != _POOLS:  # what is submitted to a pool is followed by itself
        for mode in _entered_here():
            self.run = _under(mode, self.run)  # type: ignore[method-assign]
    _start(self)


@functools.wraps(_submit)
def _observed_submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    for mode in _entered_here():
        fn = _under(mode, fn)
    return _submit(self, fn, *args, **kwargs)


def _entered_here() -> list[TorchDispatchMode]:
    return [mode for mode in tuple(_modes) if dispatch_stack.is_entered(mode)]


def _under(mode: TorchDispatchMode, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls *function* with *mode* entered on the thread where it runs."""

    def run(*args: Any, **kwargs: Any) -> Any:
        if mode not in _modes or dispatch_stack.is_entered(mode):
            return function(*args, **kwargs)
        _push_mode(mode)
        try:
            return function(*args, **kwargs)
        finally:
            dispatch_stack.take_out(mode)

    return run
