"""The parser, and the one place where an error becomes a line on stderr and an exit status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

import profiler.cli as package
from profiler.errors import ProfilerError
from profiler.targets.permissions import Permissions, permit
from profiler.util.autoload import import_all
from profiler.util.processes import Terminated, raise_when_terminated

if TYPE_CHECKING:
    from collections.abc import Sequence

app = App(
    name="profiler",
    help="Count what a PyTorch model really does, operator by operator.",
    version_flags=["--version"],
    default_parameter=Parameter(negative=()),
    exit_on_error=False,
    print_error=False,
    help_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.meta.suppress_keyboard_interrupt = False
#: Exit statuses, as shells report them.
_SIGNALLED, _INTERRUPTED = 128, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        words: The words after ``profiler``; by default those of the process.
    """
    import_all(package)
    tokens = list(sys.argv[1:] if words is None else words)
    try:
        with raise_when_terminated():
            app.meta(tokens or ["--help"])
    except CycloptsError as error:
        return _fail(" ".join(str(error).split()), 2)
    except ProfilerError as error:
        return _fail(str(error), error.exit_status)
    except Terminated as signal:
        return _fail("terminated", _SIGNALLED + signal.number)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe left early
        sys.stderr.close()
        return 0
    return 0


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: bool = False,
    trust: bool = False,
    no_code: bool = False,
) -> None:
    """Run a command.

    Args:
        tokens: The words of the command.
        debug: Show the traceback of an error.
        trust: Load a saved program (.pt2, .pt, .ts) although loading it can run code.
        no_code: Refuse targets other than models of torchvision, timm and transformers, in data files too.
    """
    try:
        with permit(Permissions(trust=trust, code=not no_code)):
            app(tokens, exit_on_error=False, print_error=False)
    except ProfilerError:
        if debug:
            Console(stderr=True).print_exception()
        raise


def _fail(message: str, status: int) -> int:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {message}", style="red", markup=False)
    return status
