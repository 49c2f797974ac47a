"""Write files atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from profiler.errors import OutputError


def write_whole(path: Path, text: str) -> None:
    """Write *text* to *path* atomically: to a temporary file in the same folder, which is then renamed.

    A reader sees the old content or the new, never a part; an existing file is replaced.

    Raises:
        OutputError: The folder is missing or cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}; choose a folder that exists and can be written"
        raise OutputError(msg) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        msg = f"cannot write {path}: {error.strerror}"
        raise OutputError(msg) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
