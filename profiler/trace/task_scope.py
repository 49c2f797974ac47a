"""Keep the sessions of different ``asyncio`` tasks apart, which take turns on one thread.

A session that begins in a task counts what runs in that task, and in the tasks that were made in its block. One that
begins outside every task counts what all of them run.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from threading import get_ident
from typing import Any

_active: ContextVar[frozenset[TaskScope]] = ContextVar("profiler_sessions", default=frozenset())


class TaskScope:
    """The tasks that belong to one session."""

    __slots__ = ("is_entered", "task", "thread")

    def __init__(self) -> None:
        """Start with none."""
        #: The task in which the session began, if any. If there is none, nothing is excluded.
        self.task: asyncio.Task[Any] | None = None
        #: The thread on which it began.
        self.thread = 0
        self.is_entered = False

    def enter(self) -> None:
        """Begin with the running task."""
        self.task, self.thread, self.is_entered = _running_task(), get_ident(), True
        _active.set(_active.get() | {self})

    def leave(self) -> None:
        """End the scope."""
        self.task, self.is_entered = None, False
        _active.set(_active.get() - {self})

    def is_active_here(self) -> bool:
        """Return whether the session began in this task, or in what made it, and has not ended."""
        return self.is_entered and self in _active.get()

    def excludes(self) -> bool:
        """Return whether another task runs on the session's thread, one that does not belong to it.

        If the task in which it began has ended, as that of an asynchronous fixture, every task belongs to it.
        """
        if self.task is None:
            return False
        return get_ident() == self.thread and self not in _active.get() and not self.task.done()


def _running_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
