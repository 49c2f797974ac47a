"""Import a module when it is first used, and not where it is named.

Torch takes a second to import and sympy a quarter. Most commands need neither, and neither does a saved profile.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_ASKED_OF_EVERY_OBJECT = frozenset({"__all__", "__file__", "__path__", "__test__", "__wrapped__"})


class LazyModule(ModuleType):
    """Stands for a module, and imports it when the first of its attributes is read.

    A type checker is shown the real import::

        if TYPE_CHECKING:
            import torch
        else:
            torch = LazyModule("torch")

    Example:
        >>> fractions = LazyModule("fractions")
        >>> fractions.Fraction(1, 2)
        Fraction(1, 2)
    """

    def __getattr__(self, name: str) -> object:
        """Return an attribute of the module; what tools ask of every object imports nothing."""
        if name in _ASKED_OF_EVERY_OBJECT:
            raise AttributeError(name)
        value = getattr(import_module(self.__name__), name)
        if not isinstance(value, ModuleType):
            self.__dict__[name] = value
        return value


def lazy_exports(
    package: str, defined_in: Mapping[str, str], modules: frozenset[str] = frozenset()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package whose names are imported when they are first used.

    No name may be that of a submodule: importing the submodule would take its place.

    Args:
        package: The ``__name__`` of the package.
        defined_in: The module that defines each name.
        modules: The names that stand for their module itself.
    """
    namespace = vars(sys.modules[package])

    def get(name: str) -> object:
        if name not in defined_in:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        module = import_module(defined_in[name])
        value = namespace[name] = module if name in modules else getattr(module, name)
        return value

    return get, lambda: sorted({*namespace, *defined_in})
