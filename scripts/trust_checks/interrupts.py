"""Send a signal at a line of the package, and not at a moment: the same in every run."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import profiler

_OURS = str(Path(profiler.__file__).parent)


def interrupted_at(
    line: int,
    run: Callable[[], object],
    number: int = signal.SIGINT,
    raised: type[BaseException] | tuple[type[BaseException], ...] = KeyboardInterrupt,
) -> str:
    """Call *run* with the signal *number* at the line-th line of this package or of contextlib.

    Returns:
        "raised"; or "lost", where Python ignores what is raised, as in the callback of a weak reference; or "", if the
        line was not reached.
    """
    left = line

    def trace(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal left
        if not frame.f_code.co_filename.startswith((_OURS, contextlib.__file__)):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                if signal.getsignal(number) is not signal.SIG_DFL:  # which ends the process, as it does a command
                    signal.raise_signal(number)
        return trace

    sys.settrace(trace)
    try:
        run()
    except raised:
        return "raised"
    finally:
        sys.settrace(None)
    return "" if left > 0 else "lost"


def lines_of(run: Callable[[], object]) -> int:
    """Return how many lines of this package and of contextlib a call of *run* reaches."""
    lines = 0

    def trace(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal lines
        if not frame.f_code.co_filename.startswith((_OURS, contextlib.__file__)):
            return None
        lines += event == "line"
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return lines
