"""Defer signals, such as Ctrl-C, while state is changed or restored, so that an interrupt leaves nothing half done.

Python runs signal handlers in the main thread, between any two instructions; a handler that raises, as that of SIGINT
does, ends whatever runs there. In a block ``with uninterrupted()``, a signal waits until the block ends, and is handled
then. In ``with interruptible()`` inside it, where the user's code runs, signals are handled at once. In other threads
neither has an effect.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from functools import cache
from threading import get_ident, main_thread
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    Handler = Callable[[int, FrameType | None], Any]

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class _Interceptor:
    """Stands in for the handlers of the process while anybody needs it. Only the main thread touches it."""

    def __init__(self) -> None:
        """Start without intercepting anything."""
        #: The number of blocks and sessions that need the interceptor.
        self.users = 0
        #: The number of blocks in which signals wait; 0 where the user's code runs.
        self.blocks = 0
        #: Whether signals wait because handlers are being exchanged.
        self.exchanges = False
        #: The handlers that it stands in for, by signal.
        self.handlers: dict[int, Handler] = {}
        #: The signals that wait, and where each arrived.
        self.waiting: dict[int, FrameType | None] = {}

    def install(self) -> None:
        """Take the place of every handler that is a Python function."""
        for number in _signals():
            handler = signal.getsignal(number)
            if callable(handler) and handler != self.on_signal:
                self.handlers[number] = handler
                with suppress(ValueError, OSError):  # not in the main interpreter; a signal that cannot be caught
                    signal.signal(number, self.on_signal)

    def remove(self) -> None:
        """Put the handlers back, unless the user has set others meanwhile. A handler that raises stops nothing."""
        try:
            for number, handler in list(self.handlers.items()):
                if signal.getsignal(number) == self.on_signal:
                    signal.signal(number, handler)
        except BaseException:
            self.remove()
            raise

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Let a signal wait, or pass it on to its handler."""
        if self.blocks or self.exchanges or _is_guarded(frame):
            self.waiting[number] = frame
        else:
            self.handlers[number](number, frame)

    def deliver(self) -> None:
        """Pass on the signals that waited, unless they must wait on."""
        while self.waiting and not self.blocks:
            number, frame = self.waiting.popitem()
            self.handlers[number](number, frame)


_interceptor = _Interceptor()
_guarded: set[CodeType] = set()


def guarded(function: _Function) -> _Function:
    """Let signals wait that arrive in *function* before it enters ``uninterrupted``; return the function.

    It has an effect while a block ``intercepted()`` is open.
    """
    _guarded.add(function.__code__)
    return function


@contextmanager
def intercepted() -> Iterator[None]:
    """Look at every signal in the block, so that ``guarded`` functions can be called when it ends.

    Enter and leave it where signals wait.
    """
    if not _in_main_thread():
        yield
        return
    _interceptor.users += 1
    try:
        yield
    finally:
        _interceptor.users -= 1


class uninterrupted:  # noqa: N801 - a context manager, named as contextlib's are
    """Let signals wait until the block ends. Nothing is half done if one arrives while the block is entered or left."""

    def __enter__(self) -> Self:
        """Intercept signals, unless that is done already."""
        self._active = _in_main_thread()
        if not self._active:
            return self
        self._blocks, users = _interceptor.blocks, _interceptor.users
        try:
            _interceptor.blocks, _interceptor.users = self._blocks + 1, users + 1
            if users == 0:
                _interceptor.install()
                _interceptor.exchanges = False
            return self  # noqa: TRY300 - an interrupt may arrive here too
        except BaseException:
            _interceptor.blocks, _interceptor.users = self._blocks, users
            if users == 0:
                _interceptor.remove()
            raise

    def __exit__(self, *_: object) -> None:
        """Stop intercepting if nobody else needs it, and pass on what waited.

        Whether signals wait then is as it was before the block. A signal can arrive after the last line of a block
        ``interruptible()`` inside it and before the exit of that block, which Python does not call then.
        """
        if self._active and _in_main_thread():
            _interceptor.exchanges = _interceptor.users == 1
            _interceptor.users, _interceptor.blocks = _interceptor.users - 1, self._blocks
            if _interceptor.exchanges:
                _interceptor.remove()
            _interceptor.deliver()


class interruptible:  # noqa: N801 - a context manager, named as contextlib's are
    """Pass signals on at once in the block: the user's code runs there."""

    def __enter__(self) -> Self:
        """Pass on what waited."""
        self._blocks = _interceptor.blocks
        if not _in_main_thread():
            return self
        try:
            _interceptor.blocks = 0
            _interceptor.deliver()
            return self  # noqa: TRY300 - an interrupt may arrive here too
        except BaseException:
            _interceptor.blocks = self._blocks
            raise

    @guarded
    def __exit__(self, *_: object) -> None:
        """Let signals wait again."""
        if _in_main_thread():
            _interceptor.blocks = self._blocks


@cache
def _signals() -> tuple[int, ...]:
    """Return the signals of this system. Python makes a member of an enumeration of each, which takes its time."""
    return tuple(sorted(signal.valid_signals()))


def _in_main_thread() -> bool:
    return get_ident() == main_thread().ident


def _is_guarded(frame: FrameType | None) -> bool:
    """Return whether a guarded function is on the call stack."""
    while frame is not None:
        if frame.f_code in _guarded:
            return True
        frame = frame.f_back
    return False
