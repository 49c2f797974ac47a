"""``python -m profiler.peers.pool_process``: run peers in worker processes, which are forked from this one.

It reads lines of JSON on stdin, first what to import, then requests, and writes a line of JSON for each result. It
exists because slow modules are imported once here, and before the model is known; because no worker runs the
``__main__`` of the calling process again; and because forking is safe here: this process only imports, and has no
threads. Where there is no fork (Windows), workers are spawned and import by themselves.

It leads a process group of its own. If the calling process ends, however it does, stdin ends; then the files of the
request are removed and the whole group is killed. Windows cannot wait for a pipe: there it ends with the next result.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from itertools import islice
from multiprocessing import active_children, get_all_start_methods, get_context
from multiprocessing.connection import wait
from pathlib import Path
from shutil import rmtree
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from profiler.peers.worker import main as worker_main
from profiler.util.processes import exit_reason
from profiler.util.quick_imports import keep_imports, quick_imports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

#: Seconds that a worker without a result has to exit, so that its status is known.
_EXIT_S = 5.0


def main() -> None:
    """Import what the first line on stdin names, then run the jobs of each further line."""
    results = _take_stdout()
    keep_imports()
    first = json.loads(sys.stdin.readline())
    folder = Path(first["folder"])
    folders = {folder}
    _prepare(first)
    with suppress(BrokenPipeError):  # the calling process has ended
        while line := sys.stdin.readline():
            request = json.loads(line)
            folders = {folder, *(Path(model).parent for _, model in request["jobs"].values())}
            _prepare(request)
            for row in _results(request, folder):
                results.write(json.dumps(row) + "\n")
                results.flush()
    _end(folders)


def _take_stdout() -> TextIO:
    """Return a stream to stdout, and send everything else that is printed to stderr."""
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=results.close)
    return results


def _prepare(message: dict[str, Any]) -> None:
    """Take over ``sys.path``, since the model's own modules can be anywhere on it, and import; workers inherit both."""
    sys.path[:] = message["sys_path"]
    with quick_imports():
        for name in message["imports"]:
            with suppress(Exception, SystemExit):  # then each worker fails by itself, or does without
                import_module(name)


def _results(request: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """Run the jobs of a request; yield each result as soon as its worker has finished.

    Raises:
        BrokenPipeError: The calling process has ended.
    """
    workers, timeout_s = request["max_workers"], request["timeout_s"]
    stdin = [sys.stdin.fileno()] if os.name == "posix" else []  # Windows cannot wait for a pipe
    jobs = iter(request["jobs"].items())
    running: dict[Any, _Worker] = {}
    while True:
        for index, (name, model) in islice(jobs, workers - len(running)):
            worker = _Worker(int(index), folder / f"log-{index}", timeout_s)
            worker.start(name, model, workers)
            running[worker.receiver] = worker
        if not running:
            return
        ready = wait([*stdin, *running], min(worker.rest_s for worker in running.values()))
        if not set(stdin).isdisjoint(ready):
            raise BrokenPipeError
        for worker in [worker for worker in running.values() if worker.receiver in ready or worker.rest_s == 0]:
            del running[worker.receiver]
            yield {"index": worker.index} | worker.result()


class _Worker:
    """A worker process that runs one peer."""

    def __init__(self, index: int, log: Path, timeout_s: float) -> None:
        """Describe the worker of the job *index*, which prints to the file *log*."""
        self.index = index
        self.receiver: Connection[Any, dict[str, Any]]
        self._process: BaseProcess
        self._log = log
        self._timeout_s, self._end_s = timeout_s, monotonic() + timeout_s

    def start(self, name: str, model: str, workers: int) -> None:
        """Start the process, one of *workers* that run at the same time."""
        context = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
        self.receiver, sender = context.Pipe(duplex=False)
        arguments = name, model, str(self._log), workers, sender
        self._process = context.Process(target=worker_main, args=arguments)  # type: ignore[attr-defined]
        self._process.start()
        sender.close()

    @property
    def rest_s(self) -> float:
        """The seconds that it may still take."""
        return max(0.0, self._end_s - monotonic())

    def result(self) -> dict[str, Any]:
        """Return what the worker has sent, or an error if it raised, crashed or timed out; end the process."""
        try:
            if self.receiver.poll():
                return dict(self.receiver.recv())
        except (EOFError, OSError):
            return {"error": self._exit_reason()}
        finally:
            self._kill()
        return {"error": f"no result within {self._timeout_s:g} s"}

    def _exit_reason(self) -> str:
        """Wait until the process has exited, which it does soon, unless it closed its pipe itself."""
        end = monotonic() + _EXIT_S
        while self._process.is_alive() and monotonic() < end:  # join would wait for another pipe that can be closed
            sleep(0.01)
        self._kill()
        with self._log.open("a+", encoding="utf-8", errors="replace") as log:
            return exit_reason(self._process.exitcode or 0, log)

    def _kill(self) -> None:
        """End the process if it has not ended."""
        self._process.kill()
        self._process.join()
        self.receiver.close()


def _end(folders: Iterable[Path]) -> NoReturn:
    """Remove the folders; end this process and all that it started."""
    for worker in active_children():  # which write to the folders
        worker.kill()
        worker.join()
    for folder in folders:
        rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
