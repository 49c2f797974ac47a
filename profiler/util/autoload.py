"""Tables that fill themselves: every module of a package is imported, and what it registers is found."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def import_all(package: ModuleType) -> list[ModuleType]:
    """Import every module of *package*, in the order of their names, and list them."""
    names = sorted(module.name for module in iter_modules(package.__path__))
    return [import_module(f"{package.__name__}.{name}") for name in names]
