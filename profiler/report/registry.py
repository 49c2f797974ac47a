"""The formats, by name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import profiler.report.formats as package
from profiler.errors import UnknownNameError
from profiler.report.report import Report
from profiler.util.autoload import import_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.tally import Profile

    Format = Callable[[Report], str]

_FORMATS: dict[str, Format] = {}
DEPTH = 2


def report_format(name: str) -> Callable[[Format], Format]:
    """Register the decorated function as the format *name*."""

    def register(function: Format) -> Format:
        _FORMATS[name] = function
        return function

    return register


def formats() -> list[str]:
    """List the names of the formats."""
    _load()
    return sorted(_FORMATS)


def render(profile: Profile, name: str = "text", *, title: str = "", depth: int | None = None) -> str:
    """Write *profile* in a format; *depth* is how many levels of modules the tree shows.

    Raises:
        UnknownNameError: There is no such format.
    """
    _load()
    if name not in _FORMATS:
        kind = "format"
        raise UnknownNameError(kind, name, _FORMATS)
    return _FORMATS[name](Report(profile, title or profile.model, DEPTH if depth is None else depth))


@cache
def _load() -> None:
    import_all(package)
