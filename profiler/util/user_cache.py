"""Results that take seconds to compute and follow from the installed code alone, kept in the user's cache folder.

Each result has one file, ``~/.cache/profiler/NAME.json``, with the key that it was computed for: with another key, of
another version or of changed source, it is not used. A cache that cannot be read or written is no error.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiler.errors import InputError, OutputError
from profiler.util.files import locked, write_whole
from profiler.util.json_files import parse_json, read_json_text

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = Path(__file__).parents[1]
#: What the counts of a model depend on, beside this package.
_DISTRIBUTIONS = ("torch", "torchvision", "timm", "transformers")


def cache_folder() -> Path:
    """Return the folder of this program in the user's cache folder. It need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "profiler"


def read_cached(name: str, key: str) -> Any:
    """Return the result *name* that was cached for *key*; None if there is none."""
    try:
        path = _path(name)
        document = parse_json(read_json_text(path, InputError, "a cached result"), path, InputError)
    except (InputError, RuntimeError):
        return None
    return document.get("result") if isinstance(document, dict) and document.get("key") == key else None


def write_cached(name: str, key: str, result: Any) -> None:
    """Cache *result*, which JSON can hold, for *key*."""
    with _no_error():
        _path(name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_path(name), json.dumps({"key": key, "result": result}))


def update_cached(name: str, key: str, change: Callable[[Any], Any]) -> None:
    """Replace the result *name* that was cached for *key*, None if there is none, by what *change* returns for it.

    Other processes that update a result in the same folder wait meanwhile, so that none loses what another wrote.
    """
    with _no_error():
        folder = _path(name).parent
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            write_cached(name, key, change(read_cached(name, key)))


def _path(name: str) -> Path:
    """Return the file of a result.

    Raises:
        RuntimeError: The user has no home folder.
    """
    return cache_folder() / f"{name}.json"


def _no_error() -> suppress:
    """Ignore that the folder cannot be written, or that the user has none."""
    return suppress(OSError, OutputError, RuntimeError)


@cache
def installed_code() -> str:
    """Return a key that changes with the source of this package and with the versions of what it counts."""
    digest = sha256()
    for path in sorted(path for ending in ("*.py", "*.toml") for path in _PACKAGE.rglob(ending)):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    for name in _DISTRIBUTIONS:
        digest.update(f"{name} {_version(name)}".encode())
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
