"""A pool of worker processes in which peers run: the side of the calling process.

A ``WorkerPool`` starts ``python -m profiler.peers.pool_process``, sends it lines of JSON, and reads a line of JSON for
each result. The stdin of that process stays open as long as this one lives, by which it knows that it does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

from profiler.peers.peer import PeerFailure, PeerResult
from profiler.util.processes import exit_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

#: Modules that take long to import. The pool imports those that this process has imported.
_SLOW_IMPORTS = ("torch", "torchvision", "timm", "transformers.modeling_utils", "profiler.targets")
_PEERS, _PROCESS = "profiler.peers.", "profiler.peers.pool_process"


class WorkerPool:
    """A context manager: a process that runs peers in worker processes, which have its imports done.

    It can be started before the model is known, and imports meanwhile what will be needed. At the end of the block it
    is killed with all of its workers.
    """

    def __init__(self, imports: Sequence[str] = ()) -> None:
        """Describe a pool; it is started on entry.

        Args:
            imports: Slow modules that the peers will need; those that cannot be imported are skipped. Others are
                imported when ``run`` is called, if this process has imported them by then.
        """
        self._imports = imports
        self._stack = ExitStack()
        self._process: subprocess.Popen[str]
        self._log: TextIO

    def __enter__(self) -> Self:
        """Start the process, in a process group of its own."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="profiler-", ignore_cleanup_errors=True))
            self._log = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", _PROCESS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                process_group=0 if os.name == "posix" else None,
            )
            stack.push(self._process)
            stack.callback(self.kill)
            self._send({"folder": folder, "imports": [*self._imports, *_imported_here()]})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Kill the process and its workers."""
        with suppress(BrokenPipeError):
            self._stack.close()

    @property
    def is_running(self) -> bool:
        """Whether the process has neither ended nor been killed."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process and its workers; jobs that run in another thread have failed.

        Its stdin is still open, so that it does not remove the files of the models.
        """
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
            self._process.wait()

    def run(
        self, jobs: Mapping[int, tuple[str, Path]], *, max_workers: int, timeout_s: float
    ) -> Iterator[tuple[int, PeerResult | PeerFailure]]:
        """Run peers on pickled models, each in a worker of its own.

        Args:
            jobs: The name of a peer and the file of the model, by an index.
            max_workers: The number of workers that run at the same time.
            timeout_s: Seconds after which a worker is killed.

        Yields:
            The index of a job and its result, in the order in which the workers finish. If the process ends, its jobs
            have failed. If the caller stops iterating, the process is killed.
        """
        pending = set(jobs)
        rows = {index: (name, str(path)) for index, (name, path) in jobs.items()}
        request = {"jobs": rows, "max_workers": max_workers, "timeout_s": timeout_s, "imports": _imported_here()}
        try:
            self._send(request)
            while pending and (row := self._receive()):
                index = row.pop("index")
                pending.remove(index)
                yield index, PeerFailure(row["error"]) if "error" in row else PeerResult(**row)
            for index in sorted(pending):
                yield index, PeerFailure(exit_reason(self._process.wait(), self._log))
            pending.clear()
        finally:
            if pending:
                self.kill()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message | {"sys_path": list(map(str, sys.path))}) + "\n")
            self._process.stdin.flush()

    def _receive(self) -> dict[str, Any] | None:
        """Wait for the next result; return None if the process has ended."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else None


def _imported_here() -> list[str]:
    """Return the slow modules, and those of the peers, that are imported here; other threads can import meanwhile."""
    imported = tuple(sys.modules)
    return [m for m in imported if m in _SLOW_IMPORTS or (m.startswith(_PEERS) and m != _PROCESS)]
