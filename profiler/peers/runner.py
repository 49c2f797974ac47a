"""Run peers, each in a worker process of its own, and read their results.

``run_peers`` starts ``python -m profiler.peers.worker_pool``, sends it one JSON request, and reads one line of JSON for
each result. The pool's stdin stays open as long as this process lives, by which the pool knows that it does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import cloudpickle

from profiler.errors import ModelError, one_line
from profiler.peers.peer import PeerFailure, PeerResult
from profiler.peers.registry import find_peer
from profiler.util.deep_calls import call_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from threading import Event
    from types import TracebackType

    from torch import nn

    #: Builds a model, and its positional and keyword arguments.
    ModelFactory = Callable[[], tuple[nn.Module, tuple[Any, ...], dict[str, Any]]]

TIMEOUT_S = 120.0
#: Modules that take long to import. The workers preload those that this process has imported.
_SLOW_IMPORTS = ("torch", "torchvision", "timm", "transformers.modeling_utils", "profiler.targets")
_PEERS, _WORKER_POOL = "profiler.peers.", "profiler.peers.worker_pool"


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
    max_workers: int = 1,
    timeout_s: float = TIMEOUT_S,
    stop: Event | None = None,
) -> Iterator[tuple[int, PeerResult | PeerFailure]]:
    """Run peers, each in a worker process of its own; a failure of one does not affect the others.

    Args:
        jobs: The name of a peer and the model that it counts, for each run.
        max_workers: The number of workers that run at the same time.
        timeout_s: Seconds after which a worker is killed.
        stop: If another thread sets it, the remaining workers are killed, and their jobs have failed.

    Yields:
        The index of a job and its result, in the order in which the workers finish. If the caller stops iterating, the
        remaining workers are terminated.

    Raises:
        UnknownNameError: There is no such peer.
    """
    runnable: dict[int, tuple[str, str]] = {}
    for index, (name, model) in enumerate(jobs):
        if find_peer(name).installed is None:
            yield index, PeerFailure(f"not installed; {find_peer(name).install}")
        else:
            runnable[index] = name, str(model.path)
    if runnable:
        request = {
            "jobs": runnable,
            "max_workers": max_workers,
            "timeout_s": timeout_s,
            "imports": _modules_to_preload(),
            "sys_path": [str(folder) for folder in sys.path],
        }
        yield from _results(request, set(runnable), stop)


def _modules_to_preload() -> list[str]:
    """Return the slow modules, and those of the peers, that are imported here; other threads can import meanwhile."""
    imported = tuple(sys.modules)
    return [m for m in imported if m in _SLOW_IMPORTS or (m.startswith(_PEERS) and m != _WORKER_POOL)]


def _results(
    request: dict[str, Any], pending: set[int], stop: Event | None
) -> Iterator[tuple[int, PeerResult | PeerFailure]]:
    """Send the request to a worker pool and yield its results; jobs still pending when the pool exits have failed."""
    with (
        tempfile.TemporaryDirectory(
            prefix="prof-", ignore_cleanup_errors=True
        ) as folder,  # a socket's path must be short
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        _worker_pool(log, stop) as process,
    ):
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request | {"folder": folder}) + "\n")
            process.stdin.flush()
        for row in map(json.loads, process.stdout):
            index = row.pop("index")
            pending.remove(index)
            yield index, PeerFailure(row["error"]) if "error" in row else PeerResult(**row)
        for index in sorted(pending):
            yield index, PeerFailure(exit_reason(process.wait(), log))


@contextmanager
def _worker_pool(log: TextIO, stop: Event | None) -> Iterator[subprocess.Popen[str]]:
    """Start a worker pool in a process group of its own; kill the group at the end of the block, or on *stop*."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", _WORKER_POOL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        process_group=0 if os.name == "posix" else None,
    )
    if stop is not None:
        threading.Thread(target=_kill_on, args=(stop, process), daemon=True).start()
    try:
        yield process
    finally:
        _kill(process)
        with suppress(BrokenPipeError), process:
            pass


def _kill_on(stop: Event, process: subprocess.Popen[str]) -> None:
    stop.wait()
    _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a pool and all that it started; its stdin is still open, so that it does not remove the model's file."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


def exit_reason(status: int, log: TextIO) -> str:
    """Describe how a process exited without a result, with the last line of its output that is not a warning.

    Args:
        status: Its exit status; negative for a signal, as in ``subprocess``.
        log: What it wrote to stdout and stderr.
    """
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line[:1].strip() and "Warning: " not in line]
    reason = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"{reason}: {lines[-1].strip()}" if lines else reason
