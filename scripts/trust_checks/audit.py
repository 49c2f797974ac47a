"""Watch this process for what reading a data file never needs.

That is to run programs, to unpickle, to reach the network and to write elsewhere. Python
reports these by its audit events, which nothing can switch off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Events that are never allowed, by the beginning of their names.
#: Source: https://docs.python.org/3/library/audit_events.html
_NEVER = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill", "subprocess.",
          "socket.", "pickle.", "pty.", "webbrowser.", "urllib.", "ftplib.", "http.", "smtplib.")  # fmt: skip
#: Those whose arguments are files that are changed.
_CHANGES = frozenset({"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink",
                      "os.truncate", "shutil.rmtree", "shutil.move", "shutil.copyfile"})  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Watch:
    """What is watched now: the hook cannot be removed."""

    def __init__(self) -> None:
        self.folders: tuple[str, ...] | None = None
        self.events: list[str] = []
        self.installed = False

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        """Note an event that is not allowed."""
        if self.folders is None:
            return
        if event.startswith(_NEVER):
            self.events.append(f"{event} {arguments!r:.200}")
        elif (event == "open" and _writes(arguments)) or event in _CHANGES:
            outside = [path for path in _paths(arguments) if not self._is_inside(path)]
            self.events += [f"{event} {path}" for path in outside]

    def _is_inside(self, path: str) -> bool:
        return os.path.realpath(path).startswith(self.folders or ()) or path == os.devnull


_WATCH = _Watch()


@contextmanager
def watched(*folders: Path) -> Iterator[list[str]]:
    """Yield a list that grows by every event in the block that is not allowed; in *folders* files may be written."""
    if not _WATCH.installed:
        sys.addaudithook(_WATCH.hook)
        _WATCH.installed = True
    _WATCH.events = []
    _WATCH.folders = tuple(os.path.realpath(folder) for folder in folders)
    try:
        yield _WATCH.events
    finally:
        _WATCH.folders = None


def _writes(arguments: tuple[object, ...]) -> bool:
    """Return whether an ``open`` event is of a file that is opened by name to be written."""
    _, mode, flags = (*arguments, None, None)[:3]
    if isinstance(mode, str):
        return not set(mode).isdisjoint("wax+")
    return isinstance(flags, int) and bool(flags & _WRITES)


def _paths(arguments: tuple[object, ...]) -> list[str]:
    return [os.fsdecode(value) for value in arguments[:2] if isinstance(value, str | bytes | os.PathLike) and value]
