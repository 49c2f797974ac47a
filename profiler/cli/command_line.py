"""The command that is running, as a user can type it again."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORDS: ContextVar[tuple[str, ...]] = ContextVar("words", default=())


@contextmanager
def remember_command(words: Sequence[str]) -> Iterator[None]:
    """Remember the words of a command while it runs."""
    token = _WORDS.set(tuple(words))
    try:
        yield
    finally:
        _WORDS.reset(token)


def command_line() -> str:
    """Return the running command, quoted for a shell; empty if none runs.

    Example:
        >>> with remember_command(["resnet18", "--input", "3x64x64"]):
        ...     command_line()
        'python -m profiler resnet18 --input 3x64x64'
    """
    words = _WORDS.get()
    return shlex.join(("python", "-m", "profiler", *words)) if words else ""
