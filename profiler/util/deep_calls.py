"""Call a function that recurses more deeply than Python allows by default, such as pickling a deep tree."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from profiler.util.shared_context import PROCESS_LOCK, SharedContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")

#: Of the thread's stack, which the system provides as it is used.
_STACK_BYTES = 2**29
#: A call of C code that recurses takes up to 3 KiB of it.
_RECURSION_LIMIT = 150_000


def call_deep(function: Callable[[], _Result]) -> _Result:
    """Return the result of *function*, which is called on a thread with a large stack.

    On Python 3.12 calls of C code, such as pickling, cannot recurse more deeply than by default; nor can on 3.12 and
    3.13 any calls, once the process has compiled a model.

    Example:
        >>> call_deep(lambda: 6 * 7)
        42
    """
    result: Future[_Result] = Future()

    def run() -> None:
        try:
            result.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            result.set_exception(error)

    with _DEEP:
        with PROCESS_LOCK:
            previous = threading.stack_size(_STACK_BYTES)
            try:
                thread = threading.Thread(target=run, daemon=True)
                thread.start()
            finally:
                threading.stack_size(previous)
        return result.result()


@contextmanager
def _deep() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


_DEEP = SharedContext(_deep)
