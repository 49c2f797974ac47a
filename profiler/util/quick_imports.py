"""Import large packages without collecting garbage meanwhile.

Importing torch and torchvision makes 800,000 objects and hardly any garbage, but Python looks for it among them all
again and again, and once more when the process ends: a third of the time of a short command. In a process of our own,
what was imported is left out of all later collections too. In a user's process it is not: the user's own objects would
be as well.
"""

from __future__ import annotations

import atexit
import gc
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEEPS: ContextVar[bool] = ContextVar("keeps imports", default=False)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Collect no garbage in the block, which imports."""
    was_enabled, imported = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if _KEEPS.get() and len(sys.modules) > imported:
            gc.freeze()
        if was_enabled:
            gc.enable()


def import_quickly(name: str) -> None:
    """Import a package, such as torch, before what needs it."""
    with quick_imports():
        import_module(name)


def keep_imports() -> None:
    """Leave what is imported quickly out of all later collections: in a process of our own, until its end."""
    if not _KEEPS.get():
        _KEEPS.set(True)
        atexit.register(_let_go)


def _let_go() -> None:
    """Let the last collection find everything, if a package is bound by nanobind: that reports what it does not find.

    Triton is, from torch 2.15 on. Types that nanobind makes have a class of their own.
    """
    if any(meta.__module__ == "nanobind" for meta in type.__subclasses__(type)):
        gc.unfreeze()
