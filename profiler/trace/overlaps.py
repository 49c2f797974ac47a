"""Sessions that overlap: each counts the other's work too, so that neither may report."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING

from profiler.trace import dispatch_stack
from profiler.trace.recorder import Recorder

if TYPE_CHECKING:
    from profiler.trace.task_scope import TaskScope


def find_overlap(recorder: Recorder, scope: TaskScope) -> str:
    """Return what makes the counts wrong when the session of *recorder* ends now; empty if nothing does."""
    if not scope.is_entered:
        return ""
    if scope.thread != get_ident():
        return "a profile ended on another thread than it began; begin and end it on one thread"
    if not dispatch_stack.is_entered(recorder):
        return "a dispatch mode that was entered before a profile ended inside it; end the profile first"
    above = dispatch_stack.modes_above(recorder)
    if any(isinstance(mode, Recorder) and mode.scope.is_active_here() for mode in above):
        return (
            "a profile ended before another one that began inside it, so that each counted the other's work; "
            "end them in reverse order, or run them one after the other"
        )
    return ""
