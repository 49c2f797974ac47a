"""Start processes with their imports already done, and end them with the process that started them."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.context import ForkServerContext, SpawnContext

_PRELOAD_BEGINS, _PRELOAD_ENDS = "profiler.util.preload_begins", "profiler.util.preload_ends"


def context_with_imports(imports: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return a multiprocessing context whose processes start with *imports* done; missing modules are skipped.

    Forking the server is safe, because it only imports: it has no threads, unlike a process that has used torch. Where
    there is no fork server (Windows), processes are spawned and import by themselves.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([_PRELOAD_BEGINS, *imports, _PRELOAD_ENDS])
    return context


def exit_with_parent() -> None:
    """End this process of ``multiprocessing`` as soon as the process that started it has ended, however it did."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def exit_reason(status: int, log: TextIO) -> str:
    """Describe how a process exited without a result, with the last line of its output that is not a warning.

    Args:
        status: Its exit status; negative for a signal, as in ``subprocess``.
        log: What it wrote to stdout and stderr.
    """
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line[:1].strip() and "Warning: " not in line]
    reason = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"{reason}: {lines[-1].strip()}" if lines else reason


class Terminated(KeyboardInterrupt):
    """The process was asked to end; it has the number of the signal."""

    def __init__(self, number: int) -> None:
        """Store the number of the signal."""
        super().__init__(number)
        self.number = number


@contextmanager
def raise_when_terminated() -> Iterator[None]:
    """Raise ``Terminated`` in the block on SIGTERM and SIGHUP, so that what is cleaned up on an error is cleaned up.

    Signals that have a handler already, or are ignored, are left alone. Only the main thread can set handlers.
    """
    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _raise_terminated)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _raise_terminated(number: int, _: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise Terminated(number)
