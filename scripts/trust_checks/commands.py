"""Run a command in this process, and say what is wrong with how it ended."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from profiler.cli import main

#: What one command may take, in seconds of processor time, and the longest line of an error.
LIMIT_S, LONGEST_LINE = 60, 1700
_STATUSES = frozenset({0, 1, 2, 3})


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its exit status, what it printed, and the processor's seconds that it took."""

    status: int
    out: str
    err: str
    cpu_s: float


def run_command(*words: str) -> Ran:
    """Run ``profiler WORDS…`` in this process."""
    out, err, start = io.StringIO(), io.StringIO(), time.process_time()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(list(words))
    return Ran(status, out.getvalue(), err.getvalue(), time.process_time() - start)


def complaint(ran: Ran, statuses: frozenset[int] = _STATUSES) -> str:
    """Return what is wrong with the end of a command, in a line; nothing if it ended as it should.

    It should end with one of the *statuses*, with one line that begins with ``error:`` if it failed, and in time.
    """
    errors = [line for line in ran.err.split("\n") if line.startswith("error: ")]
    if ran.status not in statuses:
        return f"status {ran.status}: {ran.err[-300:]!r}"
    if len(errors) != (ran.status != 0):
        return f"status {ran.status} with {len(errors)} lines of an error: {ran.err[-300:]!r}"
    if "Traceback" in ran.err + ran.out:
        return f"a traceback: {(ran.err + ran.out)[-300:]!r}"
    if any(len(line) > LONGEST_LINE or not line.isprintable() for line in errors):
        return f"an error of {len(errors[0])} characters, printable or not: {errors[0][:300]!r}"
    if ran.cpu_s > LIMIT_S:
        return f"it took {ran.cpu_s:.0f} s of the processor"
    return ""
