"""Import the packages that models come from; one that is missing or broken is an error with its cure."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from profiler.errors import InstallationError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_REINSTALL = "pip install --upgrade --force-reinstall torch torchvision"
_EXTRA = "pip install 'profiler[hf]'"


def load(package: str, attribute: str | None = None) -> Any:
    """Import a package, or one attribute of it: some packages import their parts only when asked for them.

    Raises:
        InstallationError: The package is missing, or does not fit the torch that is installed.
        AttributeError: The package has no such attribute.
    """
    try:
        module = import_module(package)
        return module if attribute is None else getattr(module, attribute)
    except (ImportError, RuntimeError, OSError) as error:
        raise InstallationError(_explain(package, error)) from error


def _explain(package: str, error: Exception) -> str:
    top = package.partition(".")[0]
    cure = _REINSTALL if top == "torchvision" else _EXTRA
    if "torchvision::" in str(error):  # its operators were built for another torch
        return f"torchvision does not fit this torch ({one_line(error)}); {_REINSTALL}"
    if isinstance(error, ModuleNotFoundError) and error.name == top:
        return f"{top} is not installed; {cure}"
    return f"{top} cannot be imported ({one_line(error)}); {cure}"


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep packages from warning of unusual sizes, such as a vocabulary without its last token.

    Not by a level of their own loggers, which they set when they are imported.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
