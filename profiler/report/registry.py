"""The formats that a kind of result can be written in, by name."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Generic, TypeVar

from profiler.errors import UnknownNameError
from profiler.escaping import plain_lines
from profiler.util.autoload import import_all

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


class Formats(Generic[R]):
    """A table of formats that fills itself: every file of *package* registers the formats that it writes.

    Example:
        >>> formats = Formats[int]()
        >>> @formats.register("hex")
        ... def write_hex(number: int) -> str:
        ...     return f"{number:x}"
        >>> formats.names(), formats.render(255, "hex")
        (['hex'], 'ff')
    """

    def __init__(self, package: str | None = None) -> None:
        """Make a table; the files of *package* are imported on first use."""
        self._package = package
        self._writers: dict[str, Callable[[R], str]] = {}

    def register(self, name: str) -> Callable[[Callable[[R], str]], Callable[[R], str]]:
        """Register the decorated function as the writer of the format *name*."""

        def add(writer: Callable[[R], str]) -> Callable[[R], str]:
            self._writers[name] = writer
            return writer

        return add

    def names(self) -> list[str]:
        """List the names of the formats, ``text`` first."""
        return sorted(self._loaded, key=lambda name: (name != "text", name))

    def render(self, result: R, name: str) -> str:
        """Write *result* in a format.

        Raises:
            UnknownNameError: There is no such format.
        """
        return self.find(name)(result)

    def find(self, name: str) -> Callable[[R], str]:
        """Return the writer of a format; but for JSON, whose writer does it, control characters are escaped.

        Raises:
            UnknownNameError: There is no such format.
        """
        if name not in self._loaded:
            kind = "format"
            raise UnknownNameError(kind, name, self._loaded)
        writer = self._loaded[name]
        return writer if name == "json" else lambda result: plain_lines(writer(result))

    @cached_property
    def _loaded(self) -> dict[str, Callable[[R], str]]:
        if self._package is not None:
            import_all(import_module(self._package))
        return self._writers
