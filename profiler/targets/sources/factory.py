"""Models of one's own: ``package.module:factory`` and ``file.py:factory``.

A factory is a callable without required arguments that returns an ``nn.Module``: a function, or the class itself. A
module that is already made may be named too.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from functools import partial, reduce
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from profiler.errors import ModelError, TargetError, UnknownNameError, one_line
from profiler.targets.configurable import ConfigurableTarget
from profiler.targets.registry import Source, register
from profiler.targets.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType


def resolve(name: str) -> Target:
    """Import the module or file, and find the factory in it.

    Raises:
        TargetError: There is no such module or file, or what is named cannot be called without arguments.
        UnknownNameError: The module has no such attribute.
        ModelError: The module or file raised while it was imported.
    """
    factory, directory = _load(name)
    return Target(name, _constructor(name, factory, directory))


def configure(name: str) -> ConfigurableTarget:
    """Return the parameters of a factory that are whole numbers, or have no default, as settings."""
    factory, directory = _load(name)
    settings = _integer_parameters(factory) if callable(factory) else {}

    def make(chosen: Mapping[str, int]) -> Target:
        return Target(name, _constructor(name, partial(factory, **chosen) if chosen else factory, directory))

    required = frozenset(key for key, value in settings.items() if value is None)
    return ConfigurableTarget(name, make, settings, required)


def claims(name: str) -> bool:
    """Say whether a name is that of a factory."""
    return ":" in name or name.endswith(".py")


def _load(name: str) -> tuple[Any, Path]:
    """Return what ``module:attribute`` names, and the folder from which it is imported."""
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        msg = f"{name!r} names no factory in the file; write {place or attribute}:FACTORY"
        raise TargetError(msg)
    is_file = place.endswith(".py")
    directory = Path(place).resolve().parent if is_file else Path.cwd()
    with _importable(directory):
        module = _import_file(Path(place)) if is_file else _import_module(place)
    return _find(module, place, attribute), directory


def _integer_parameters(factory: Callable[..., Any]) -> dict[str, int | None]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
    named = [p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    return {p.name: None if p.default is p.empty else p.default for p in named if _is_size(p)}


def _is_size(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty or type(parameter.default) is int


def _import_module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            msg = f"no module named {name!r}; a target before a colon is a module, a .py file, timm or hf"
            raise TargetError(msg) from error
        raise ModelError(_raised(name, error)) from error
    except Exception as error:
        raise ModelError(_raised(name, error)) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        msg = f"no file {str(path)!r}"
        raise TargetError(msg)
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        msg = f"{str(path)!r} is no Python file"
        raise TargetError(msg)
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(_raised(str(path), error)) from error
    return module


def _raised(place: str, error: Exception) -> str:
    return f"{place} raised {one_line(error)} while it was imported"


def _find(module: ModuleType, place: str, attribute: str) -> Any:
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError:
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        kind = f"factory in {place}"
        raise UnknownNameError(kind, attribute, public) from None


def _constructor(name: str, found: Any, directory: Path) -> Callable[[], nn.Module]:
    if isinstance(found, nn.Module):
        return lambda: found
    if not callable(found):
        msg = f"{name} is {_describe(found)}; a target is an nn.Module, or a callable that returns one"
        raise TargetError(msg)
    required = _required(found)
    if required:
        msg = f"{name} needs arguments ({', '.join(required)}); a factory is called with none"
        raise TargetError(msg)
    return lambda: _call(name, found, directory)


def _call(name: str, factory: Callable[[], Any], directory: Path) -> nn.Module:
    with _importable(directory):
        module = factory()
    if not isinstance(module, nn.Module):
        msg = f"{name} returned {_describe(module)}; a factory has to return an nn.Module"
        raise TargetError(msg)
    return module


def _describe(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _required(factory: Callable[..., Any]) -> list[str]:
    """List the parameters without which a callable cannot be called."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not say
        return []
    optional = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [p.name for p in parameters if p.default is p.empty and p.kind not in optional]


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Let modules beside the target be imported, as they are when it runs by itself."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))


register(Source(resolve, claims=claims, configure=configure))
