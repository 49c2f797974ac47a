"""Check the structure of a zip file from an unknown source before another library reads it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO
from zipfile import BadZipFile, ZipFile

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipInfo

#: An archive of at least this many bytes may unpack to at most this many times its size.
_BOMB_BYTES, _BOMB_RATIO = 64 * 2**20, 100
_ENCRYPTED = 0x1


class UnsafeZipError(ValueError):
    """A zip file is damaged or could mislead another reader; the message says why, without the file's name."""


def open_zip(file: Path | BinaryIO) -> ZipFile:
    """Open a zip file whose entries can be read one by one without surprises.

    Raises:
        UnsafeZipError: It is not a zip file or is cut short, a name occurs twice or points outside of the archive, an
            entry is encrypted, or the entries are far larger than the file.
    """
    try:
        archive = ZipFile(file)
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        msg = f"it is not a complete zip file ({error})"
        raise UnsafeZipError(msg) from error
    try:
        _check_entries(archive.infolist(), _length(archive))
    except UnsafeZipError:
        archive.close()
        raise
    return archive


def _length(archive: ZipFile) -> int:
    assert archive.fp is not None  # noqa: S101 - it was just opened
    return archive.fp.seek(0, 2)


def _check_entries(entries: list[ZipInfo], length: int) -> None:
    twice = [name for name, times in Counter(entry.filename for entry in entries).items() if times > 1]
    outside = [entry.filename for entry in entries if _points_outside(entry.filename)]
    unpacked = sum(entry.file_size for entry in entries)
    if twice:
        msg = f"it holds {_shown(twice[0])} twice"
    elif outside:
        msg = f"it holds {_shown(outside[0])}, a name outside of the archive"
    elif any(entry.flag_bits & _ENCRYPTED for entry in entries):
        msg = "it is encrypted"
    elif unpacked > max(_BOMB_BYTES, length * _BOMB_RATIO):
        msg = f"its {length} bytes unpack to {unpacked}"
    else:
        return
    raise UnsafeZipError(msg)


def _points_outside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return not parts[0] or ".." in parts or ":" in parts[0] or not name.isprintable()


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:60] + "…")  # noqa: PLR2004 - a part of a line
