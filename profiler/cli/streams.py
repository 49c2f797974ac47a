"""The standard streams: results on stdout, everything else on stderr, in whatever state the streams are.

What a model prints while it is built or run goes to stderr, also if it is printed below Python, so that stdout holds
the result alone.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from profiler.errors import OutputError
from profiler.escaping import ascii_json, ascii_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2


class _Nowhere(io.StringIO):
    """A stream that drops what is written."""

    def write(self, text: str, /) -> int:
        """Drop *text*."""
        return len(text)


class _Redirection:
    """Stdout, while everything that is printed goes to stderr."""

    def __init__(self) -> None:
        self._stdout: TextIO | None = None
        self._descriptor: int | None = None
        self.is_active = False

    def start(self) -> None:
        """Send what is printed from now on to stderr."""
        self._stdout = sys.stdout
        if _is_stdout(self._stdout):
            self._stdout.flush()
            self._descriptor = os.dup(_STDOUT)
            os.dup2(_STDERR, _STDOUT)
        sys.stdout = sys.stderr
        self.is_active = True

    def stop(self) -> None:
        """Send what is printed from now on to stdout again."""
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        if self._descriptor is not None and self._stdout is not None:
            with suppress(OSError, ValueError):
                self._stdout.flush()
            os.dup2(self._descriptor, _STDOUT)
            os.close(self._descriptor)
        self._descriptor = None
        sys.stdout = self._stdout  # None if it was closed before Python started
        self.is_active = False


_REDIRECTION = _Redirection()


def open_closed_streams() -> None:
    """Open the null device in place of streams that were closed, so that no other file gets their descriptors."""
    for descriptor in (0, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = _Nowhere()


@contextmanager
def prints_on_stderr() -> Iterator[None]:
    """Send everything that is printed in the block to stderr, except in ``results_on_stdout``."""
    _REDIRECTION.start()
    try:
        yield
    finally:
        _REDIRECTION.stop()


@contextmanager
def results_on_stdout() -> Iterator[None]:
    """Give stdout back for the block."""
    was_active = _REDIRECTION.is_active
    if was_active:
        _REDIRECTION.stop()
    try:
        yield
    finally:
        if was_active:
            _REDIRECTION.start()


def write_stdout(text: str) -> None:
    """Write a result to stdout; in ASCII if the terminal's encoding lacks some of its characters.

    If the reader of a pipe left early, as ``head`` does, the rest is dropped: the exit status says what was found.

    Raises:
        OutputError: Stdout is closed, or cannot be written.
    """
    stream = sys.stdout
    if stream is None:
        msg = "cannot write to stdout: it is closed; write to a file with --output"
        raise OutputError(msg)
    try:
        _write_whole(_encodable(text, stream), stream)
    except (OSError, ValueError) as error:
        _drop(stream)
        if not isinstance(error, BrokenPipeError):
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            msg = f"cannot write to stdout: {reason}"
            raise OutputError(msg) from error


def _write_whole(text: str, stream: TextIO) -> None:
    """Write a text to its end: an unbuffered stream (``PYTHONUNBUFFERED``) drops what a full disk did not take."""
    raw = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        stream.write(text)
        stream.flush()
        return
    stream.flush()
    rest = memoryview(text.replace("\n", os.linesep).encode(stream.encoding or "utf-8", stream.errors or "strict"))
    while rest:
        written = raw.write(rest)
        if written is None:
            msg = "it takes no more now"
            raise BlockingIOError(errno.EAGAIN, msg)
        rest = rest[written:]


def _is_stdout(stream: TextIO | None) -> bool:
    """Return whether a stream writes to the process's stdout; pytest's does not."""
    try:
        return stream is not None and stream.fileno() == _STDOUT
    except (OSError, ValueError):
        return False


def _drop(stream: TextIO) -> None:
    """Close a stream that failed: Python would write the rest again at exit, and change the status."""
    with suppress(OSError, ValueError):
        stream.close()
    sys.stdout = _Nowhere()


def _encodable(text: str, stream: TextIO) -> str:
    """Return *text*, in ASCII if the stream cannot encode it. A text that begins with a brace is JSON."""
    try:
        text.encode(stream.encoding or "utf-8", stream.errors or "strict")
    except UnicodeEncodeError:
        return ascii_json(text) if text.startswith("{") else ascii_text(text)
    return text
