"""Follow a profiled block onto the threads that it starts, and onto those of a pool to which it gives work.

A dispatch mode sees its own thread alone. While anything observes, ``threading.Thread.start``, the ``submit`` of a
``ThreadPoolExecutor`` and the methods of a ``multiprocessing.pool.ThreadPool`` hand the mode on, if they are called
where it is entered. A thread that was started before the block and takes work some other way (a queue of its own) is
seen only while it runs modules of the model.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.pool import ThreadPool
from threading import RLock
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode, _push_mode

from profiler.trace import dispatch_stack

#: Runs a function on another thread for the module that started it.
Place = Callable[[], AbstractContextManager[None]]
#: The modules of pools: what is submitted to a pool is followed by itself, and not its threads.
_POOLS = frozenset({"concurrent.futures.thread", "multiprocessing.pool"})
#: The methods that hand on a function: their class, their name, and the one that takes their place.
_METHODS: list[tuple[Any, str, Any]] = []
#: What the classes have of these names; an inherited one is missing.
_OWN: dict[tuple[Any, str], Any] = {}
#: Each mode, and what returns the place of what runs now.
_modes: list[tuple[TorchDispatchMode, Callable[[], Place]]] = []
_lock = RLock()


@contextmanager
def hand_on(mode: TorchDispatchMode, place_of_caller: Callable[[], Place]) -> Iterator[None]:
    """Enter *mode*, too, where a thread that has entered it starts another, or submits work to a pool, in the block.

    *place_of_caller* is called there; what it returns is entered on the other thread.
    """
    entry = mode, place_of_caller
    with _lock:
        if not _modes:
            for kind, name, method in _METHODS:
                setattr(kind, name, method)
        _modes.append(entry)
    try:
        yield
    finally:
        with _lock:
            _modes.remove(entry)
            if not _modes:
                _restore()


def _restore() -> None:
    """Put the methods back; one that somebody else has replaced meanwhile stays."""
    for kind, name, method in _METHODS:
        if vars(kind).get(name) is not method:
            continue
        if (kind, name) in _OWN:
            setattr(kind, name, _OWN[kind, name])
        else:
            delattr(kind, name)


def _observe(kind: Any, name: str, method: Any) -> None:
    if name in vars(kind):
        _OWN[kind, name] = vars(kind)[name]
    _METHODS.append((kind, name, functools.wraps(getattr(kind, name))(method)))


def _observe_start() -> None:
    start = threading.Thread.start

    def observed(self: threading.Thread) -> None:
        if getattr(getattr(self, "_target", None), "__module__", None) not in _POOLS:
            self.run = _handed_on(self.run)  # type: ignore[method-assign]
        start(self)

    _observe(threading.Thread, "start", observed)


def _observe_submission(kind: Any, name: str) -> None:
    """Observe a method that takes a function as its first argument."""
    submit = getattr(kind, name)

    def observed(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return submit(self, _handed_on(function), *args, **kwargs)

    _observe(kind, name, observed)


_observe_start()
_observe_submission(ThreadPoolExecutor, "submit")
for _name in ("apply_async", "_map_async", "imap", "imap_unordered"):
    _observe_submission(ThreadPool, _name)


def _handed_on(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* with the modes of this thread that observe, to be called on another one."""
    for mode, place_of_caller in tuple(_modes):
        if dispatch_stack.is_entered(mode):
            function = _under(mode, place_of_caller(), function)
    return function


def _under(mode: TorchDispatchMode, place: Place, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls *function* with *mode* entered on the thread where it runs."""

    def run(*args: Any, **kwargs: Any) -> Any:
        if not any(observer is mode for observer, _ in _modes):
            return function(*args, **kwargs)
        with place():
            if dispatch_stack.is_entered(mode):
                return function(*args, **kwargs)
            _push_mode(mode)
            try:
                return function(*args, **kwargs)
            finally:
                dispatch_stack.take_out(mode)

    return run
