"""Import every module of a package, so that each can register its entries in a catalogue."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def import_all(package: ModuleType) -> list[ModuleType]:
    """Import every module of *package* and return them, sorted by name."""
    names = sorted(module.name for module in iter_modules(package.__path__))
    return [import_module(f"{package.__name__}.{name}") for name in names]
