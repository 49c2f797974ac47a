"""Classes whose calls are counted whole, by a formula of the class and not by the operators that run inside.

A formula is registered in one room, and calls are recorded in another that does not know it: this is where they meet.
"""

from __future__ import annotations

from typing import Literal

#: Which function of a class is meant: its ``forward``, or the ``backward`` of an ``autograd.Function``.
Method = Literal["forward", "backward"]

#: The names that each formula takes. Looked at for every call of a module, so without a function around it.
WANTED: dict[tuple[type, Method], tuple[str, ...]] = {}


def name_of(kind: type, method: Method = "forward") -> str:
    """Return the name under which calls of a class are recorded.

    Example:
        >>> from collections import Counter
        >>> name_of(Counter), name_of(Counter, "backward")
        ('class:collections.Counter', 'class:collections.Counter.backward')
    """
    ending = ".backward" if method == "backward" else ""
    return f"class:{kind.__module__}.{kind.__qualname__}{ending}"


def count_whole(kind: type, method: Method, wanted: tuple[str, ...]) -> None:
    """Record calls of a class whole from now on; its formula *wanted* arguments or attributes of these names."""
    WANTED[kind, method] = wanted


def whole_classes() -> list[type]:
    """Return the classes that have a formula."""
    return list(dict.fromkeys(kind for kind, _ in WANTED))


def class_with_formula(kind: type, method: Method = "forward") -> type | None:
    """Return *kind* or the nearest of its base classes that has a formula; None if there is none."""
    if not WANTED:
        return None
    return next((base for base in kind.__mro__ if (base, method) in WANTED), None)


def wanted_by(kind: type, method: Method = "forward") -> tuple[str, ...]:
    """Return the names that the formula of a class takes; empty if it has none."""
    return WANTED.get((kind, method), ())
