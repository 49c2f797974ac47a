"""Read TOML files that users write; a bad file raises an error of the caller's class, with a one-line message."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.errors import ProfilerError


def read_toml(path: Path, error_type: type[ProfilerError], hint: str) -> dict[str, Any]:
    """Read and parse a file.

    Args:
        path: The file.
        error_type: The class of the error to raise.
        hint: What the user should give instead, as in "a TOML file with tables [[claims]]".

    Raises:
        ProfilerError: The file cannot be read, or is not TOML.
    """
    return parse_toml(read_text(path, error_type, hint), path, error_type)


def read_text(path: Path, error_type: type[ProfilerError], hint: str) -> str:
    """Read a text file; arguments as for ``read_toml``.

    Raises:
        ProfilerError: The file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        msg = f"cannot read {path}: {reason}; give {hint}"
        raise error_type(msg) from error


def parse_toml(text: str, path: Path, error_type: type[ProfilerError]) -> dict[str, Any]:
    """Parse *text*, the content of the file *path*.

    Raises:
        ProfilerError: It is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not TOML: {error}"
        raise error_type(msg) from error
