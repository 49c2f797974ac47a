"""Write files: a regular file whole or not at all; through anything else that stands at the path."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from profiler.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Bytes as they are: Windows would write a line feed as two.
_BINARY = getattr(os, "O_BINARY", 0)
_SUFFIX = ".tmp"
#: The name by which a process can give an open file without a name a name.
_PROCESS_FILE = "/proc/self/fd/{}"
#: How long to wait for the reader of a FIFO, and between two looks.
_READER_S, _POLL_S = 10, 0.02


def write_whole(path: Path, text: str) -> None:
    """Write *text* to *path*, in UTF-8.

    A regular file is replaced at once, so that a reader sees the old content or the new, never a part; it keeps its
    mode and, where possible, its owner. A symbolic link stays, and the file that it points to is written. A device, a
    FIFO or one of this process's own streams, such as ``/dev/stdout``, is written to.

    Raises:
        OutputError: The folder is missing or cannot be written, the disk is full, or the path is a folder.
    """
    write_whole_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_whole_bytes(path: Path, data: bytes) -> None:
    """Write *data* to *path* as `write_whole` writes text.

    Raises:
        OutputError: As for `write_whole`.
    """
    try:
        existing = _stat(path)
        if existing is None or (stat.S_ISREG(existing.st_mode) and _own_stream(existing) is None):
            _replace(Path(os.path.realpath(path)), data, existing)
        else:
            _write_through(path, data, existing)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        advice = "; choose a folder that exists and can be written" if _is_about_folder(error) else ""
        msg = f"cannot write {path}: {reason}{advice}"
        raise OutputError(msg) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder for the block; another process, or thread, that asks for it waits.

    Raises:
        OutputError: The folder cannot be opened.
    """
    if fcntl is None:  # no folder can be opened, nor locked
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        msg = f"cannot open the folder {folder}: {error.strerror}"
        raise OutputError(msg) from error
    try:
        _lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def _is_about_folder(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)


def _stat(path: Path) -> os.stat_result | None:
    """Return what is at the path, or at the end of a symbolic link; None if nothing is there yet."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _own_stream(existing: os.stat_result) -> int | None:
    """Return this process's stdout or stderr, if the file is the same."""
    for descriptor in (1, 2):
        with suppress(OSError):  # the stream is closed
            if os.path.samestat(os.fstat(descriptor), existing):
                return descriptor
    return None


def _write_through(path: Path, data: bytes, existing: os.stat_result) -> None:
    stream = _own_stream(existing)
    if stream is not None:
        descriptor = os.dup(stream)
    elif stat.S_ISFIFO(existing.st_mode):
        descriptor = _open_fifo(path)
    else:
        descriptor = os.open(path, os.O_WRONLY | _BINARY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _open_fifo(path: Path) -> int:
    """Open a FIFO as soon as it has a reader."""
    deadline = time.monotonic() + _READER_S
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                msg = f"nobody reads this FIFO, not within {_READER_S} s"
                raise ValueError(msg) from error
            time.sleep(_POLL_S)
        else:
            os.set_blocking(descriptor, True)
            return descriptor


def _replace(path: Path, data: bytes, existing: os.stat_result | None) -> None:
    """Replace a regular file, or create it."""
    if existing is not None and not os.access(path, os.W_OK):
        msg = "it is read-only; make it writable, or choose another"
        raise ValueError(msg)
    _remove_leftovers(path)
    temporary = path.with_name(f"{_prefix(path)}{token_hex(8)}{_SUFFIX}")
    descriptor, is_open = _open_temporary(temporary, 0o666 if existing is None else 0o600), True
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        if existing is not None:
            _copy_access(descriptor, existing)
        os.fsync(descriptor)
        if not os.fstat(descriptor).st_nlink:
            os.link(
                _PROCESS_FILE.format(descriptor), temporary, src_dir_fd=descriptor
            )  # which makes it follow the link
        if fcntl is None:  # Windows renames no file that is open
            os.close(descriptor)
            is_open = False
        temporary.replace(path)
    finally:
        if is_open:
            os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _copy_access(descriptor: int, existing: os.stat_result) -> None:
    """Give the new file the owner, the group and the mode of the old one."""
    if hasattr(os, "fchown"):
        for owner, group in ((-1, existing.st_gid), (existing.st_uid, -1)):
            with suppress(OSError):  # only root can give a file away
                os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, existing.st_mode & 0o777)


def _open_temporary(name: Path, mode: int) -> int:
    """Open a temporary file and lock it; without a name if the system has such files, which a crash does not leave."""
    descriptor = _open_unnamed(name.parent, mode)
    while descriptor is None:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, mode)
        _lock(descriptor, wait=True)
        if not os.fstat(descriptor).st_nlink:  # another process took it for a leftover before it was locked
            os.close(descriptor)
            descriptor = None
    return descriptor


def _open_unnamed(folder: Path, mode: int) -> int | None:
    if not hasattr(os, "O_TMPFILE") or not Path(_PROCESS_FILE).parent.exists():
        return None
    try:
        descriptor = os.open(folder, os.O_RDWR | os.O_TMPFILE, mode)
    except OSError:  # the file system has no such files, or cannot be written at all
        return None
    _lock(descriptor, wait=True)
    return descriptor


def _prefix(path: Path) -> str:
    """Return the first part of the names of temporary files of *path*; its length does not depend on the path's."""
    return f".profiler-{sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote *path*: nobody has them locked."""
    for name in path.parent.glob(f"{_prefix(path)}*{_SUFFIX}"):
        with suppress(OSError):  # it is in use, was renamed just now, or belongs to another user
            descriptor = os.open(name, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _lock(descriptor, wait=False):
                    name.unlink()
            finally:
                os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a file as long as it is open, if the platform and the file system can; return whether it is locked."""
    if fcntl is None:
        return wait
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return wait
    return True
