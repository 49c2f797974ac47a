"""Read text files that users write; a bad file raises an error of the caller's class, with a one-line message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from profiler.units import size

if TYPE_CHECKING:
    from profiler.errors import ProfilerError


def is_file(path: str | Path) -> bool:
    """Return whether a file is there; none has a name that is too long for the system, or that has a null character."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def read_text(path: str | Path, error_type: type[ProfilerError], hint: str, most_bytes: int) -> str:
    """Read a text file in UTF-8, with a byte order mark or without.

    Args:
        path: The file.
        error_type: The class of the error to raise.
        hint: What the user should give instead, as in "a TOML file with tables [[claims]]".
        most_bytes: The largest file to read.

    Raises:
        ProfilerError: The file cannot be read, is larger, or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: the name has a null character
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        msg = f"cannot read {path}: {reason}; give {hint}"
        raise error_type(msg) from error
    if len(data) > most_bytes:
        msg = f"cannot read {path}: it is larger than {size(most_bytes)}; give {hint}"
        raise error_type(msg)
    return decode(data, path, error_type, hint)


def decode(data: bytes, path: str | Path, error_type: type[ProfilerError], hint: str) -> str:
    """Return the text of a file; arguments as for ``read_text``.

    Raises:
        ProfilerError: It is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"cannot read {path}: it is not text in UTF-8; give {hint}"
        raise error_type(msg) from error
