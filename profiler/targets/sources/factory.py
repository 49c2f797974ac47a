"""User-defined models: ``package.module:factory`` and ``file.py:factory``.

A factory is a callable that returns an ``nn.Module`` and can be called without arguments: a function or a class. An
existing module object can be named as well.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from functools import partial, reduce
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from profiler.errors import ModelError, TargetError, UnknownNameError, one_line
from profiler.targets.configurable import ConfigurableTarget
from profiler.targets.registry import Source, register
from profiler.targets.target import ModuleWithInputs, Target
from profiler.util.permissions import permissions
from profiler.util.text_files import is_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

_WITH_INPUTS = "or (model, args), (model, kwargs) or (model, args, kwargs), with a tuple and a dict"
#: Modules that come with the installed packages, and whose attributes only build modules.
_SHIPPED = ("torch.nn", "profiler.documents.models")


def resolve(name: str) -> Target:
    """Import the module or file, and return its factory as a target.

    Raises:
        TargetError: There is no such module or file, or the attribute cannot be called without arguments.
        UnknownNameError: The module has no such attribute.
        ModelError: The module or file raised while it was imported.
    """
    factory, directory = _load(name)
    return Target(name, _constructor(name, factory, directory))


def configure(name: str) -> ConfigurableTarget:
    """Return a factory with its settings: the parameters that have an integer default or none."""
    factory, directory = _load(name)
    settings = _integer_parameters(factory) if callable(factory) else {}

    def make(values: Mapping[str, int]) -> Target:
        return Target(name, _constructor(name, partial(factory, **values) if values else factory, directory))

    required = frozenset(key for key, value in settings.items() if value is None)
    return ConfigurableTarget(name, make, settings, required)


def claims(name: str) -> bool:
    """Return whether a name has the form of a factory."""
    return ":" in name or name.endswith(".py")


def is_shipped(name: str) -> bool:
    """Return whether a name is a class of torch, or a model that the documents of this package are about."""
    place, _, attribute = name.partition(":")
    return place in _SHIPPED and attribute.isidentifier()


def load_attribute(name: str) -> Any:
    """Return what ``module:attribute`` or ``file.py:attribute`` names.

    Raises:
        TargetError: There is no such module or file, or importing code is not permitted.
        UnknownNameError: The module has no such attribute.
        ModelError: The module or file raised while it was imported.
    """
    if not permissions().code:
        msg = f"{name} would run code, which --no-code forbids"
        raise TargetError(msg)
    return _load(name)[0]


def _load(name: str) -> tuple[Any, Path]:
    """Return the attribute that ``module:attribute`` names, and the folder from which it is imported."""
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        msg = f"{name!r} does not name a factory in the file; write {place or attribute}:FACTORY"
        raise TargetError(msg)
    is_file = place.endswith(".py")
    directory = Path(place).resolve().parent if is_file else Path.cwd()
    with _importable(directory):
        module = _import_file(Path(place)) if is_file else _import_module(place)
    return _attribute(module, place, attribute), directory


def _integer_parameters(factory: Callable[..., Any]) -> dict[str, int | None]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
    named = [p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    return {p.name: None if p.default is p.empty else p.default for p in named if _may_be_size(p)}


def _may_be_size(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty or type(parameter.default) is int


def _import_module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            msg = f"no module named {name!r}; before the colon write a module, a .py file, timm or hf"
            raise TargetError(msg) from error
        raise ModelError(_import_failure(name, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a script may end itself
        raise ModelError(_import_failure(name, error)) from error


def _import_file(path: Path) -> ModuleType:
    if not is_file(path):
        msg = f"no file {str(path)!r}"
        raise TargetError(msg)
    loader = _UncachedLoader(path.stem, str(path))
    module = module_from_spec(cast("ModuleSpec", spec_from_loader(path.stem, loader)))
    try:
        loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # as above
        raise ModelError(_import_failure(str(path), error)) from error
    return module


class _UncachedLoader(SourceFileLoader):
    """Import what is in the file now, and write nothing beside it.

    A cached bytecode file is also taken for a file that was changed within the same second and to the same size.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import_failure(place: str, error: BaseException) -> str:
    return f"{place} raised {one_line(error)} while it was imported"


def _attribute(module: ModuleType, place: str, path: str) -> Any:
    """Return an attribute of *module* by its dotted path."""
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError:
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        kind = f"factory in {place}"
        raise UnknownNameError(kind, path, public) from None


def _constructor(name: str, factory: Any, directory: Path) -> Callable[[], nn.Module | ModuleWithInputs]:
    """Return a function that builds the module; *factory* may also be a module object, or an invalid value."""
    if isinstance(factory, nn.Module):
        return lambda: factory
    if not callable(factory):
        msg = f"{name} is {_describe(factory)}; a target is an nn.Module, or a callable that returns one"
        raise TargetError(msg)
    if _is_builtin(factory):
        msg = f"{name} is a function of Python itself, which returns no module; name a factory of your own"
        raise TargetError(msg)
    required = _required_parameters(factory)
    if required:
        msg = f"{name} needs arguments ({', '.join(required)}); a factory is called without any"
        raise TargetError(msg)
    return lambda: _call(name, factory, directory)


def _is_builtin(factory: Any) -> bool:
    """Return whether a callable is a function of the interpreter, such as ``sys.exit`` or ``os.abort``."""
    place = getattr(factory, "__module__", None) or ""
    return inspect.isbuiltin(factory) and place.partition(".")[0] in sys.stdlib_module_names


def _call(name: str, factory: Callable[[], Any], directory: Path) -> nn.Module | ModuleWithInputs:
    with _importable(directory):
        made = factory()
    match made:
        case nn.Module():
            return made
        case (nn.Module() as module, tuple() | dict() | list() | torch.Tensor() as inputs):
            return ModuleWithInputs(module, inputs)
        case (nn.Module() as module, tuple() as args, dict() as kwargs):
            return ModuleWithInputs(module, (args, kwargs))
    returned = "a tuple" if isinstance(made, tuple) else _describe(made)
    msg = f"{name} returned {returned}; a factory must return an nn.Module, {_WITH_INPUTS}"
    raise TargetError(msg)


def _describe(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _required_parameters(factory: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return []
    optional = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return [p.name for p in parameters if p.default is p.empty and p.kind not in optional]


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Put *directory* on the import path for the block, as ``python file.py`` does with the script's folder."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))


register(Source(resolve, claims=claims, configure=configure, is_code=lambda name: not is_shipped(name)))
