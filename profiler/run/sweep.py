"""``run_sweep()``: count many points, each in a process of its own, on all cores or on a Dask cluster."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from profiler.errors import InputError, InstallationError, one_line
from profiler.run.sweep_process import run_point
from profiler.util.permissions import permissions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from profiler.run.sweep_journal import SweepJournal
    from profiler.run.sweep_points import SweepPoint
    from profiler.run.sweep_process import Limits, Row

#: Seconds to wait for the scheduler of a cluster, and for its first worker.
_CONNECT_S, _WORKERS_S = 10, 30


def run_sweep(
    points: tuple[SweepPoint, ...],
    limits: Limits,
    journal: SweepJournal,
    *,
    jobs: int = -1,
    cluster: str | None = None,
    on_row: Callable[[int, int], None] = lambda *_: None,
) -> list[Row]:
    """Return the rows of all points, in their order; a crash or a timeout is a row too.

    Args:
        points: What to count. Points that the journal has are not counted again.
        limits: What each process may use.
        journal: Receives each row as soon as it is there.
        jobs: The number of processes at a time; −1 for one per core.
        cluster: The address of a Dask scheduler, such as ``tcp://host:8786``; None for this machine.
        on_row: Called with the number of rows that are done, and of all.

    Raises:
        InputError: The journal is damaged, or the cluster cannot be reached.
        InstallationError: A package is missing.
    """
    rows = journal.rows(points)
    waiting = [point for point in points if point not in rows]
    on_row(len(rows), len(points))
    with ExitStack() as stack:
        if waiting and cluster is not None:
            _enter_cluster(stack, cluster)
        for row in _run(waiting, limits, jobs if cluster is None else -1):
            journal.add(row)
            rows[_point_of(row, points)] = row
            on_row(len(rows), len(points))
    return [rows[point] for point in points]


def _run(points: list[SweepPoint], limits: Limits, jobs: int) -> Iterator[Row]:
    """Yield each row as soon as its process has ended."""
    joblib: Any = _load("joblib", "joblib")
    granted = asdict(permissions())
    tasks = (joblib.delayed(run_point)(point, limits, granted) for point in points)
    yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs")(tasks)


def _enter_cluster(stack: ExitStack, address: str) -> None:
    """Let joblib run on a Dask cluster until *stack* ends.

    Raises:
        InputError: There is no scheduler at the address, or it has no worker, within the time limit.
    """
    distributed: Any = _load("distributed", "profiler[cluster]")
    joblib: Any = _load("joblib", "joblib")
    try:
        client = stack.enter_context(distributed.Client(address, timeout=_CONNECT_S, set_as_default=True))
        client.wait_for_workers(1, timeout=_WORKERS_S)
    except (OSError, ValueError, TimeoutError) as error:
        msg = (
            f"no Dask cluster with a worker at {address} ({one_line(error)}); start `dask scheduler` and `dask worker`"
        )
        raise InputError(msg) from error
    stack.enter_context(joblib.parallel_config(backend="dask", wait_for_workers_timeout=_WORKERS_S))


def _load(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"a sweep needs {name}; install it with: pip install '{package}'"
        raise InstallationError(msg) from error


def _point_of(row: Row, points: Iterable[SweepPoint]) -> SweepPoint:
    return next(point for point in points if asdict(point).items() <= row.items())
