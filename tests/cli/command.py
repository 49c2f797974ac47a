"""Run the command line within the test's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from profiler.cli import main

if TYPE_CHECKING:
    import pytest


class CommandResult(NamedTuple):
    """The exit status of a command, and what it printed."""

    status: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *words: str) -> CommandResult:
    """Run ``profiler WORDS…`` and return its exit status, standard output and standard error."""
    status = main(list(words))
    return CommandResult(status, *capsys.readouterr())
