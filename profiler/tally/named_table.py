"""A dictionary that answers an unknown key with the nearest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from profiler.errors import UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Mapping

V = TypeVar("V")
K = TypeVar("K", bound=str)


class NamedTable(dict[K, V]):
    """A dictionary with text keys; an unknown key raises an ``UnknownKeyError`` that has the nearest keys.

    Example:
        >>> NamedTable("module", {"layer1": 1, "fc": 2})["layer9"]
        Traceback (most recent call last):
        profiler.errors.UnknownKeyError: no module named 'layer9'; did you mean 'layer1'?
    """

    def __init__(self, kind: str, rows: Mapping[K, V]) -> None:
        """Copy *rows*; *kind* says in a message what they are."""
        super().__init__(rows)
        self._kind = kind

    def __missing__(self, key: object) -> V:
        """Raise an error that lists the keys near *key*: spelled alike, or below another module.

        Raises:
            UnknownKeyError: Always.
        """
        name = str(key)
        below = [known for known in self if name and known.endswith(f".{name}")]
        raise UnknownKeyError(self._kind, name, filter(None, self), below[:3])

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the kind and the rows."""
        return NamedTable, (self._kind, dict(self))
