"""The registry of sources of models, which turns a name such as ``hf:gpt2`` into a target.

To add a source, write a file in ``sources`` that ends in::

    register(Source(resolve, prefix="name", names=names))
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from profiler.errors import InstallationError, TargetError, UnknownNameError
from profiler.escaping import quoted
from profiler.targets.configurable import ConfigurableTarget
from profiler.util.autoload import import_all
from profiler.util.permissions import permissions

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.targets.target import Target

_SOURCES: list[Source] = []
_FORMS = "write resnet18, timm:NAME, hf:NAME, module:factory, file.py:factory or a .pt2 file"
_FROM_ONNX = (
    "name the model that it was exported from, or write a file.py whose factory returns onnx2torch.convert(path), and "
    "name it as file.py:factory"
)
#: As long as a path may be.
_LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """One source of models."""

    #: Return the target of a name without its prefix.
    resolve: Callable[[str], Target]
    #: The part before the colon: ``timm`` in ``timm:NAME``. None if names have no prefix.
    prefix: str | None = None
    #: List the available names as a user writes them; empty if any file or module can be named.
    names: Callable[[], list[str]] = list
    #: Return whether a name without a prefix belongs to this source.
    claims: Callable[[str], bool] = lambda _: False
    #: Return the settings that a name can be built with; None if models have no settings.
    configure: Callable[[str], ConfigurableTarget] | None = None
    #: Return whether a name imports code or loads a program that does not come with the installed packages.
    is_code: Callable[[str], bool] = lambda _: False
    #: Return whether a name is a file that describes a model without code.
    is_file: Callable[[str], bool] = lambda _: False


def register(source: Source) -> None:
    """Add a source to the registry."""
    _SOURCES.append(source)


def resolve(name: str) -> Target:
    """Return the target called *name*; nothing is built yet.

    Args:
        name: ``resnet18`` (torchvision), ``timm:NAME``, ``hf:NAME``, ``hf:path/to/config.json``,
            ``package.module:factory``, ``file.py:factory``, or a file ``.pt2``, ``.pt`` or ``.ts``.

    Raises:
        UnknownNameError: The source has no such model; the message has the nearest names.
        TargetError: A file, a module or an attribute is missing, or the name matches no source.
        InstallationError: The source needs a package that is missing or broken.

    Example:
        >>> resolve("resnet18").inputs[0].value.shape
        (1, 3, 224, 224)
    """
    source, rest = _source_of(name)
    return replace(source.resolve(rest), name=name)


def find_configurable_target(name: str) -> ConfigurableTarget:
    """Return the model called *name* with the settings that it can be built with; nothing is built yet.

    Raises:
        ProfilerError: As for ``resolve``.
    """
    source, rest = _source_of(name)
    if source.configure is None:
        target = resolve(name)
        return ConfigurableTarget(name, lambda _: target, {})
    model = source.configure(rest)
    return replace(model, name=name, make=lambda settings: replace(model.make(settings), name=name))


def list_targets() -> list[str]:
    """List every name that ``resolve`` accepts, except files and factories; sources not installed are skipped."""
    names: list[str] = []
    for source in _load():
        with suppress(InstallationError):
            names += source.names()
    return names


def is_of_installed_package(name: str) -> bool:
    """Return whether the model called *name* follows from the installed packages alone, not from a user's file.

    Raises:
        ProfilerError: As for ``resolve``, if the name has no source.

    Example:
        >>> is_of_installed_package("resnet18"), is_of_installed_package("my.py:net")
        (True, False)
    """
    source, rest = _source_of(name)
    return not source.is_code(rest) and not source.is_file(rest)


def _source_of(name: str) -> tuple[Source, str]:
    """Return the source of a name that may be resolved, and the name without the source's prefix."""
    if not name or "\0" in name or len(name) > _LONGEST_NAME:
        msg = f"cannot read the target {quoted(name)}; {_FORMS}"
        raise TargetError(msg)
    source, rest = _find_source(name)
    if not permissions().code and source.is_code(rest):
        msg = f"--no-code refuses {name!r}, which runs code of its own; use a model of torchvision, timm: or hf:"
        raise TargetError(msg)
    return source, rest


def _find_source(name: str) -> tuple[Source, str]:
    prefix, colon, rest = name.partition(":")
    for source in _load():
        if colon and source.prefix == prefix:
            return source, rest
    for source in _load():
        if source.claims(name):
            return source, name
    if name.lower().endswith(".onnx"):
        msg = f"{quoted(name)} is an ONNX graph, and models of PyTorch are counted; {_FROM_ONNX}"
        raise TargetError(msg)
    if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        msg = f"cannot read the target {quoted(name)}; {_FORMS}"
        raise TargetError(msg)
    kind = "torchvision model"
    raise UnknownNameError(kind, name, list_targets())


@cache
def _load() -> list[Source]:
    """Import every file in ``sources``, which register themselves."""
    import_all(import_module("profiler.targets.sources"))
    return _SOURCES
