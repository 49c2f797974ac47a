"""Where results go: stdout, or a file."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from profiler.errors import OutputError
from profiler.report import PROFILE_FORMATS, Report, render
from profiler.report.formats.text import renderable
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.tally import Profile

if TYPE_CHECKING:
    ProfileFormat = str
else:
    #: The formats of a profile, for the command line to offer and check.
    ProfileFormat = Literal[*PROFILE_FORMATS.names()]


def show(profile: Profile, *, title: str, depth: int, form: str, output: Path | None) -> None:
    """Print a profile in a format, or write it to *output*; text on a terminal is in colour and uses its width."""
    if output is None and form == "text" and sys.stdout.isatty():
        console = Console()
        console.print(renderable(Report(profile, title, depth), console.width))
        return
    text = render(profile, form, title=title, depth=depth)
    emit(text, output)


def emit(text: str, output: Path | None) -> None:
    """Write a result to stdout, or to the file *output*, whole or not at all.

    Raises:
        OutputError: The file or stdout cannot be written.
        BrokenPipeError: The reader of stdout left early.
    """
    if output is not None:
        write_whole(output, text)
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with suppress(OSError):  # Python would try again at exit, and change the status
            sys.stdout.close()
        msg = f"cannot write to stdout: {error.strerror}"
        raise OutputError(msg) from error


def note(message: str, *, quiet: bool) -> None:
    """Print a note on stderr."""
    if not quiet:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"note: {message}", style="dim", markup=False)
