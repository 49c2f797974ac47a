"""Where results go: stdout, or a file."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from io import StringIO
from typing import TYPE_CHECKING, Literal, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from profiler.cli.command_line import command_line
from profiler.cli.streams import results_on_stdout, write_stdout
from profiler.escaping import message_line, shorten
from profiler.report import PROFILE_FORMATS, Report, render
from profiler.report.formats.text import renderable
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rich.progress import TaskID
    from rich.status import Status

    from profiler.tally import Profile

T = TypeVar("T")
#: The longest message of a spinner, in characters.
_WORKING = 70
if TYPE_CHECKING:
    ProfileFormat = str
else:
    #: The formats of a profile, for the command line to offer and check.
    ProfileFormat = Literal[*PROFILE_FORMATS.names()]


def show(profile: Profile, *, title: str, depth: int | None, form: str, output: Path | None) -> None:
    """Print a profile in a format, or write it to *output*; text on a terminal is in colour and uses its width."""
    shown = _for_terminal(Report(profile, title, depth), form, output)
    emit(shown or render(profile, form, title=title, depth=depth, command=command_line()), output)


def emit(text: str, output: Path | None) -> None:
    """Write a result to stdout, or to the file *output*, whole or not at all.

    Raises:
        OutputError: The file or stdout cannot be written.
    """
    with results_on_stdout():
        if output is not None:
            write_whole(output, text)
        else:
            write_stdout(text)


def note(message: str, *, quiet: bool) -> None:
    """Print a note on stderr."""
    if not quiet:
        message_on_stderr(f"note: {message}", "dim")


def message_on_stderr(message: str, style: str) -> None:
    """Print one line on stderr; if that is closed or full, nothing."""
    with suppress(OSError):
        console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
        console.print(message_line(message), style=style, markup=False)


def working(message: str, *, quiet: bool) -> Status:
    """Return a context manager that shows what is being done, if stderr is a terminal."""
    return stderr_terminal(quiet=quiet).status(Text(shorten(message_line(message), _WORKING)))


@contextmanager
def counting(message: str, total: int, *, quiet: bool) -> Iterator[Bar]:
    """Show a bar with the number of parts that are done, if stderr is a terminal and there are any."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = stderr_terminal(quiet=quiet or not total)
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, progress.add_task(_shown(message), total=total))


class Bar:
    """A bar on the terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        """Move the bar of *task*."""
        self._progress, self._task = progress, task
        self._done = 0

    def advance(self, *_: object) -> None:
        """One more part is done."""
        self.reach(self._done + 1)

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items; one more part is done after each."""
        for item in items:
            yield item
            self.advance()

    def reach(self, done: int) -> None:
        """So many parts are done."""
        self._done = done
        self._progress.update(self._task, completed=done)

    def describe(self, message: str) -> None:
        """Show what is being done now."""
        self._progress.update(self._task, description=_shown(message))


def _shown(message: str) -> str:
    return escape(shorten(message_line(message), _WORKING))


def stderr_terminal(*, quiet: bool) -> Console:
    """Return a console on stderr that prints nothing if it is no terminal."""
    return Console(stderr=True, quiet=quiet or not sys.stderr.isatty())


def like_stdout(file: StringIO) -> Console:
    """Return a console that writes to *file* in the colours and the width of stdout."""
    with results_on_stdout():
        console = Console()
    system = console.color_system if console.is_terminal else None
    return Console(file=file, width=console.width, force_terminal=console.is_terminal, color_system=system)  # type: ignore[arg-type] # rich gives the name of a colour system as str, and takes a Literal


def _for_terminal(report: Report, form: str, output: Path | None) -> str | None:
    """Return a text report in the colours and the width of the terminal; None if it is not for a terminal."""
    text = StringIO()
    console = like_stdout(text)
    if output is not None or form != "text" or not console.is_terminal:
        return None
    console.print(renderable(report, console.width))
    return text.getvalue()
