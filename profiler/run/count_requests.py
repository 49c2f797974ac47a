"""``count_requests()``: count many models by name, in their order; in parallel processes where that pays."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.errors import ProfilerError
from profiler.run.count_target import count_target
from profiler.util.permissions import with_permissions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.run.runner import Run
    from profiler.tally import Profile

#: A process takes seconds to import torch and the models. So the first models are counted in this process for so many
#: seconds, and processes are started only for those that are left then, if there are so many.
_ALONE_S, _LEAST_LEFT = 6.0, 4


@dataclass(frozen=True, slots=True)
class CountRequest:
    """What to count: the arguments of ``count_target``."""

    target: str
    specs: tuple[str, ...] = ()
    batch: int | None = None
    dtype: str | None = None
    device: str = "auto"
    run: Run | None = None


class Counted(NamedTuple):
    """The profile of a request, or why there is none, and the notes for the user."""

    outcome: Profile | ProfilerError
    notes: tuple[str, ...]


class _Failure(NamedTuple):
    """The type and the message of an error, which not every error keeps when it is pickled."""

    kind: type[ProfilerError]
    args: tuple[object, ...]

    def error(self) -> ProfilerError:
        """Return the error, without its cause."""
        error = self.kind.__new__(self.kind)
        error.args = self.args
        return error


def count_requests(requests: Sequence[CountRequest]) -> Iterator[Counted]:
    """Count models one after another, and yield each as soon as it and those before it are counted.

    A failure is a result. Where the models take long and there are several cores, the later ones are counted in
    processes of their own; the results are the same.
    """
    waiting = iter(requests)
    left, start = len(requests), time.monotonic()
    while left and not _processes_pay(left, time.monotonic() - start):
        yield _count(next(waiting))
        left -= 1
    if left:
        yield from _count_in_processes(list(islice(waiting, left)))


def _processes_pay(left: int, elapsed_s: float) -> bool:
    """Return whether to start processes for the models that are left, after so many seconds of counting."""
    return left >= _LEAST_LEFT and elapsed_s >= _ALONE_S and _cores() > 1


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count_in_processes(requests: Sequence[CountRequest]) -> Iterator[Counted]:
    joblib: Any = import_module("joblib")  # when used: most runs are over before
    count = with_permissions(_count_for_caller)
    jobs = min(_cores(), len(requests))
    for counted in joblib.Parallel(n_jobs=jobs, return_as="generator")(joblib.delayed(count)(r) for r in requests):
        outcome, notes = counted
        yield Counted(outcome.error() if isinstance(outcome, _Failure) else outcome, notes)


def _count_for_caller(request: CountRequest) -> tuple[Profile | _Failure, tuple[str, ...]]:
    """Count one model in a worker process."""
    outcome, notes = _count(request)
    return (_Failure(type(outcome), outcome.args) if isinstance(outcome, ProfilerError) else outcome), notes


def _count(request: CountRequest) -> Counted:
    notes: list[str] = []
    try:
        profile = count_target(
            request.target,
            specs=request.specs,
            batch=request.batch,
            dtype=request.dtype,
            device=request.device,
            notify=notes.append,
            run=request.run,
        )
    except ProfilerError as error:
        return Counted(error, tuple(notes))
    return Counted(profile, tuple(notes))
