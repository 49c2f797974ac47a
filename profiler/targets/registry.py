"""Where models come from: one file in this folder for each source, which registers itself here.

To add a source, write a file that ends in::

    register(Source(resolve, prefix="name", names=names))
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from profiler.errors import InstallationError, TargetError, UnknownNameError
from profiler.targets.configurable import ConfigurableTarget
from profiler.util.autoload import import_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.targets.target import Target

_SOURCES: list[Source] = []


@dataclass(frozen=True, slots=True)
class Source:
    """One source of models."""

    #: Makes a target of a name, from which the prefix is gone.
    resolve: Callable[[str], Target]
    #: What stands before the colon: ``timm`` in ``timm:NAME``. None where names have no prefix.
    prefix: str | None = None
    #: Lists what can be asked for, as a user would write it. Empty where any file or module may be named.
    names: Callable[[], list[str]] = list
    #: Whether a name that has no prefix is meant for this source.
    claims: Callable[[str], bool] = lambda _: False
    #: Describes which settings a name can be built with; None where models have no settings.
    configure: Callable[[str], ConfigurableTarget] | None = None


def register(source: Source) -> None:
    """Add a source to the catalogue."""
    _SOURCES.append(source)


def resolve(name: str) -> Target:
    """Find what *name* stands for; nothing is built yet.

    Raises:
        UnknownNameError: The source has no such model; the message gives the nearest names.
        TargetError: A file, a module or an attribute is missing, or the name has the form of no source.
        InstallationError: The source needs a package that is missing or broken.
    """
    source, rest = _source_of(name)
    return replace(source.resolve(rest), name=name)


def find_configurable_target(name: str) -> ConfigurableTarget:
    """Return the settings that *name* can be built with; nothing is built yet.

    Raises:
        ProfilerError: As for ``resolve``.
    """
    source, rest = _source_of(name)
    if source.configure is None:
        target = resolve(name)
        return ConfigurableTarget(name, lambda _: target, {})
    found = source.configure(rest)
    return replace(found, name=name, make=lambda settings: replace(found.make(settings), name=name))


def _source_of(name: str) -> tuple[Source, str]:
    """Return the source of a name, and the name as the source knows it."""
    prefix, colon, rest = name.partition(":")
    for source in _load():
        if colon and source.prefix == prefix:
            return source, rest
    for source in _load():
        if source.claims(name):
            return source, name
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        msg = (
            f"{name!r} is no target; write resnet18, timm:NAME, hf:NAME, module:factory, file.py:factory or a .pt2 file"
        )
        raise TargetError(msg)
    kind = "torchvision model"
    raise UnknownNameError(kind, name, list_targets())


def list_targets() -> list[str]:
    """List every name that some source knows, as a user would write it; sources that are not installed have none."""
    names: list[str] = []
    for source in _load():
        with suppress(InstallationError):
            names += source.names()
    return names


@cache
def _load() -> list[Source]:
    """Import every file of this folder, so that each source registers itself."""
    import_all(import_module("profiler.targets.sources"))
    return _SOURCES
