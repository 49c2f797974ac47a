"""Import the packages that define models; if one is missing or broken, the error says which command installs it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from profiler.errors import InstallationError, one_line
from profiler.util.quick_imports import quick_imports

if TYPE_CHECKING:
    from collections.abc import Iterator

_REINSTALL = "pip install --upgrade --force-reinstall torch torchvision"
_EXTRA = "pip install 'profiler[hf]'"


def load(package: str, attribute: str | None = None) -> Any:
    """Return a package, or one attribute of it, which packages like transformers import only on access.

    Raises:
        InstallationError: The package is missing, or was built for another version of torch.
        AttributeError: The package has no such attribute.
    """
    try:
        with quick_imports():
            module = import_module(package)
            return module if attribute is None else getattr(module, attribute)
    except (ImportError, RuntimeError, OSError) as error:
        raise InstallationError(_explain(package, error)) from error


def _explain(package: str, error: Exception) -> str:
    top = package.partition(".")[0]
    command = _REINSTALL if top == "torchvision" else _EXTRA
    if "torchvision::" in str(error):  # its compiled operators were built for another torch
        return f"torchvision does not fit this torch ({one_line(error)}); {_REINSTALL}"
    if isinstance(error, ModuleNotFoundError) and error.name == top:
        return f"{top} is not installed; {command}"
    return f"{top} cannot be imported ({one_line(error)}); {command}"


@contextmanager
def without_warnings() -> Iterator[None]:
    """Disable logged warnings in the block: transformers warns of unusual sizes, such as a small vocabulary.

    Logging is disabled globally because packages set the levels of their own loggers when they are imported.
    """
    with _logs_disabled(logging.WARNING):
        yield


@contextmanager
def without_logs() -> Iterator[None]:
    """Disable everything logged in the block: torch logs the traceback of an error that it raises as well."""
    with _logs_disabled(logging.CRITICAL):
        yield


@contextmanager
def _logs_disabled(level: int) -> Iterator[None]:
    previous = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(previous)
