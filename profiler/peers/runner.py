"""Run peers on models, each in a worker process of its own."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cloudpickle

from profiler.errors import ModelError, one_line
from profiler.peers.peer import PeerFailure, PeerResult
from profiler.peers.registry import find_peer
from profiler.peers.worker_pool import WorkerPool
from profiler.util.deep_calls import call_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from torch import nn

    #: Builds a model, and its positional and keyword arguments.
    ModelFactory = Callable[[], tuple[nn.Module, tuple[Any, ...], dict[str, Any]]]

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A ``ModelFactory`` that returns an existing model with its inputs."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
        """Return the model and its inputs."""
        return self.model, self.args, self.kwargs


class PickledModel:
    """A context manager that keeps a pickled model factory on disk, where worker processes read it."""

    def __init__(self, make: ModelFactory) -> None:
        """Store the factory, which is pickled on entry and called in the workers.

        Args:
            make: Returns the model with its arguments. It can build the model anew in each worker; for an existing
                model, pass a ``LiveModel``.
        """
        self._make = make
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        """Write the file.

        Raises:
            ModelError: The model cannot be pickled.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="profiler-")
        try:
            with self.path.open("wb") as file:
                call_deep(lambda: cloudpickle.dump(self._make, file))
        except Exception as error:
            self._folder.cleanup()
            msg = f"the model cannot be sent to another process: {one_line(error)}; pass a function that builds it"
            raise ModelError(msg) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete the file."""
        assert self._folder is not None  # noqa: S101 - set on entry
        self._folder.cleanup()

    @property
    def path(self) -> Path:
        """Path of the pickle file."""
        assert self._folder is not None, "enter the PickledModel first"  # noqa: S101 - an error in the calling code
        return Path(self._folder.name) / "model"


def run_peer(name: str, model: PickledModel, *, timeout_s: float = TIMEOUT_S) -> PeerResult | PeerFailure:
    """Run one peer in a worker process.

    Args:
        name: The name of the peer.
        model: The model to count.
        timeout_s: Seconds after which the worker is killed.

    Returns:
        The peer's result. An exception, a crash or a timeout is a ``PeerFailure``, and so is a peer that is not
        installed.

    Raises:
        UnknownNameError: There is no such peer.
    """
    ((_, result),) = run_peers([(name, model)], timeout_s=timeout_s)
    return result


def run_peers(
    jobs: Sequence[tuple[str, PickledModel]],
    *,
    pool: WorkerPool | None = None,
    max_workers: int = 1,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[tuple[int, PeerResult | PeerFailure]]:
    """Run peers, each in a worker process of its own; a failure of one does not affect the others.

    Args:
        jobs: The name of a peer and the model that it counts, for each run.
        pool: A pool that was started before; by default one is started for these jobs.
        max_workers: The number of workers that run at the same time.
        timeout_s: Seconds after which a worker is killed.

    Yields:
        The index of a job and its result, in the order in which the workers finish. If the caller stops iterating, the
        remaining workers are terminated. If another thread kills the pool, their jobs have failed.

    Raises:
        UnknownNameError: There is no such peer.
    """
    runnable: dict[int, tuple[str, Path]] = {}
    for index, (name, model) in enumerate(jobs):
        if find_peer(name).installed is None:
            yield index, PeerFailure(f"not installed; {find_peer(name).install}")
        else:
            runnable[index] = name, model.path
    if runnable:
        with nullcontext(pool) if pool is not None else WorkerPool() as running:
            yield from running.run(runnable, max_workers=max_workers, timeout_s=timeout_s)
