"""A context that changes the whole process, and that several blocks may need at once."""

from __future__ import annotations

from contextlib import AbstractContextManager
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Held while a shared context is entered or left, and while global hooks are registered or removed.
PROCESS_LOCK = RLock()


class SharedContext(AbstractContextManager[None]):
    """Enters a context with its first user and leaves it with its last, whichever threads they run in.

    Example:
        >>> from contextlib import contextmanager
        >>> @contextmanager
        ... def context():
        ...     print("entered")
        ...     yield
        ...     print("left")
        >>> shared = SharedContext(context)
        >>> with shared, shared:
        ...     print("inside")
        entered
        inside
        left
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        """Take the function that makes the context; it is called for every first user."""
        self._make = make
        self._users = 0
        self._context: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        """Enter the context, unless it has a user."""
        with PROCESS_LOCK:
            if self._users == 0:
                context = self._make()
                context.__enter__()
                self._context = context
            self._users += 1

    def __exit__(self, *_: object) -> None:
        """Leave the context if this was its last user."""
        with PROCESS_LOCK:
            self._users -= 1
            if self._users == 0 and self._context is not None:
                context, self._context = self._context, None
                context.__exit__(None, None, None)
