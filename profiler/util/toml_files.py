"""TOML files that users write: read, or refused in one line."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.errors import ProfilerError


def read_toml(path: Path, refuse: type[ProfilerError], hint: str) -> dict[str, Any]:
    """Read a file.

    Args:
        path: The file.
        refuse: The error to raise.
        hint: What to give instead, as in "a TOML file with tables [[claims]]".

    Raises:
        ProfilerError: It cannot be read, or is not TOML.
    """
    return parse_toml(read_text(path, refuse, hint), path, refuse)


def read_text(path: Path, refuse: type[ProfilerError], hint: str) -> str:
    """Read a file as text.

    Raises:
        ProfilerError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        msg = f"cannot read {path}: {reason}; give {hint}"
        raise refuse(msg) from error


def parse_toml(text: str, path: Path, refuse: type[ProfilerError]) -> dict[str, Any]:
    """Parse the text of a file.

    Raises:
        ProfilerError: It is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not TOML: {error}"
        raise refuse(msg) from error
