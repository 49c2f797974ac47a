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
from typing import Any

from profiler.errors import InputError, OutputError
from profiler.util.files import write_whole
from profiler.util.json_files import parse_json, read_json_text

_PACKAGE = Path(__file__).parents[1]
#: What the counts of a model depend on, beside this package.
_DISTRIBUTIONS = ("torch", "torchvision", "timm", "transformers")


def cache_folder() -> Path:
    """Return the folder of this program in the user's cache folder. It need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "profiler"


def read_cached(name: str, key: str) -> Any:
    """Return the result *name* that was cached for *key*; None if there is none."""
    path = cache_folder() / f"{name}.json"
    try:
        document = parse_json(read_json_text(path, InputError, "a cached result"), path, InputError)
    except InputError:
        return None
    return document.get("result") if isinstance(document, dict) and document.get("key") == key else None


def write_cached(name: str, key: str, result: Any) -> None:
    """Cache *result*, which JSON can hold, for *key*."""
    with suppress(OSError, OutputError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_whole(cache_folder() / f"{name}.json", json.dumps({"key": key, "result": result}))


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
