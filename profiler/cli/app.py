"""The parser, and the one place where an error becomes a line on stderr and an exit status."""

from __future__ import annotations

import sys
from importlib import import_module
from io import StringIO
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

import profiler.cli as package
from profiler.cli.command_line import remember_command
from profiler.cli.docstrings import restore_docstrings
from profiler.cli.output import emit, like_stdout, message_on_stderr
from profiler.cli.streams import open_closed_streams, prints_on_stderr
from profiler.cli.subjects import HELP, MODEL, OUTPUT, SUBJECTS
from profiler.errors import ProfilerError, one_line
from profiler.util.autoload import import_all
from profiler.util.permissions import Permissions, permit
from profiler.util.processes import Terminated, raise_when_terminated
from profiler.util.quick_imports import keep_imports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def _shown_default(value: object) -> str | None:
    """Return a default as the help shows it; nothing for an option that is off or empty by default."""
    return str(value) if value not in (None, False, (), "") else None


app = App(
    name="profiler",
    usage="profiler TARGET [OPTIONS] or profiler COMMAND [OPTIONS]",
    help="Count the MACs, FLOPs, memory traffic and parameters of a PyTorch model, operator by operator.",
    version_flags=["--version"],
    default_parameter=Parameter(negative=(), show_default=_shown_default),
    exit_on_error=False,
    print_error=False,
    help_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.meta.suppress_keyboard_interrupt = False
_HELP = frozenset({"--help", "-h"})
for flag in ("--help", "--version"):
    app[flag].group = HELP
#: Exit statuses, as shells report them.
_SIGNALLED, _INTERRUPTED = 128, 130
#: The exit status if profiler itself failed.
_FAILED = 4


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        words: The words after ``profiler``; by default those of the process.
    """
    open_closed_streams()
    if words is None:  # the process is ours
        keep_imports()
    tokens = list(sys.argv[1:] if words is None else words)
    try:
        with raise_when_terminated():
            restore_docstrings(_load_commands(next((token for token in tokens if not token.startswith("-")), "")))
            _run(tokens)
    except CycloptsError as error:
        return _fail(str(error), ProfilerError.exit_status)
    except ProfilerError as error:
        return _fail(str(error), error.exit_status)
    except Terminated as signal:
        return _fail("terminated", _SIGNALLED + signal.number)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    except BaseException as error:  # noqa: BLE001 - a command ends in one line and a status, also for an error that nobody foresaw
        return _fail(f"profiler failed: {one_line(error)}; --debug shows where, please report it", _FAILED)
    return 0


def _load_commands(first: str) -> list[ModuleType]:
    """Import the file of the command that is named *first*; if none is, as in ``profiler resnet18``, import all."""
    if first in {module.name for module in iter_modules(package.__path__)}:
        module = import_module(f"{package.__name__}.{first}")
        if first in app:
            return [sys.modules[__name__], module]
    return import_all(package)


def _run(tokens: list[str]) -> None:
    """Run a command; write what cyclopts prints, help and version, as any result."""
    printed = StringIO()
    app.console = app.meta.console = like_stdout(printed)
    with remember_command(tokens):
        if _asks_for_overview(tokens):
            app.meta(["help", *(word for word in tokens if word in SUBJECTS)])
        else:
            app.meta(tokens)
    if printed.getvalue():
        emit(printed.getvalue(), None)


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(env_var="PROFILER_DEBUG", group=OUTPUT)] = False,
    trust: Annotated[bool, Parameter(group=MODEL)] = False,
    no_code: Annotated[bool, Parameter(group=MODEL)] = False,
) -> None:
    """Run a command.

    Args:
        tokens: The words of the command.
        debug: Show the traceback of an error.
        trust: Load saved programs (.pt2, .pt, .ts) that can run code.
        no_code: Refuse models that are not of torchvision, timm, transformers.
    """
    try:
        with prints_on_stderr(), permit(Permissions(trust=trust, code=not no_code)):
            app(tokens, exit_on_error=False, print_error=False)
    except Exception:
        if debug:
            Console(stderr=True).print_exception()
        raise


def _asks_for_overview(tokens: list[str]) -> bool:
    """Return whether help is asked for, but not that of a command."""
    first = next((token for token in tokens if not token.startswith("-")), "")
    return not tokens or (first not in app and not _HELP.isdisjoint(tokens))


def _fail(message: str, status: int) -> int:
    message_on_stderr(f"error: {message}", "red")
    return status
