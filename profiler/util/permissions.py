"""What resolving a target may do: import code that its name points to, or load a file that can run code.

The command line sets it for a command (``--trust``, ``--no-code``); code that uses the package sets it for a block:

    with permit(Permissions(trust=True)):
        target = resolve("program.pt2")

A thread or process that is started in the block does not inherit it: pass the function through ``with_permissions``.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Permissions:
    """What resolving a target may do."""

    #: Load a saved program even though loading it can run code: pickled objects, compiled libraries.
    trust: bool = False
    #: Import modules and Python files, and load saved programs; if not, only models of the catalogues can be named.
    code: bool = True


_DEFAULT = Permissions()
_CURRENT: ContextVar[Permissions] = ContextVar("permissions", default=_DEFAULT)


def permissions() -> Permissions:
    """Return the permissions of the calling block."""
    return _CURRENT.get()


@contextmanager
def permit(granted: Permissions) -> Iterator[None]:
    """Set the permissions for the block.

    Example:
        >>> with permit(Permissions(code=False)):
        ...     permissions().code
        False
    """
    token = _CURRENT.set(granted)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@dataclass(frozen=True, slots=True)
class _Permitted:
    """A function with the permissions that it is called with; it can be pickled."""

    function: Callable[..., Any]
    granted: Permissions

    def __call__(self, *args: Any) -> Any:
        with permit(self.granted):
            return self.function(*args)


def with_permissions(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* with the current permissions, for a call in another thread or process."""
    return _Permitted(function, permissions())
