"""``python -m profiler.peers.worker_pool``: the supervisor process that runs peers in worker processes.

It reads one request, a line of JSON on stdin, starts a worker for each job, and writes one line of JSON for each
result. It exists for two reasons: slow modules are imported once, by a fork server from which all workers are forked;
and no worker runs the ``__main__`` of the calling process again. It leads a process group of its own. If the calling
process ends, however it does, stdin ends; then the files of the request are removed and the whole group is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing import current_process
from pathlib import Path
from shutil import rmtree
from threading import Thread
from typing import TYPE_CHECKING, Any

from profiler.peers.runner import exit_reason
from profiler.peers.worker import main as worker_main
from profiler.util.processes import context_with_imports

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext


def main() -> None:
    """Run all jobs of the request on stdin; write each result to stdout as soon as its worker has finished."""
    request = json.loads(sys.stdin.readline())
    models = {Path(model_path).parent for _, model_path in request["jobs"].values()}
    Thread(target=_end_with_caller, args=({Path(request["folder"]), *models},), daemon=True).start()
    current_process()._config["tempdir"] = request["folder"]  # type: ignore[attr-defined] # for multiprocessing's own files
    sys.path[:] = request["sys_path"]  # inherited by the workers: the model's own modules can be anywhere on it
    context = context_with_imports(["profiler.peers.worker", *request["imports"]])
    with ThreadPoolExecutor(request["max_workers"]) as pool:
        index_of = {
            pool.submit(_run_worker, context, name, model_path, _log(request, index), request["timeout_s"]): int(index)
            for index, (name, model_path) in request["jobs"].items()
        }
        for future in as_completed(index_of):
            sys.stdout.write(json.dumps({"index": index_of[future]} | future.result()) + "\n")
            sys.stdout.flush()


def _end_with_caller(folders: set[Path]) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin.read, whose lock would block the end of this process
        pass
    for folder in folders:
        rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _log(request: dict[str, Any], index: str) -> Path:
    return Path(request["folder"]) / f"log-{index}"


def _run_worker(
    context: ForkServerContext | SpawnContext, name: str, model_path: str, log_path: Path, timeout_s: float
) -> dict[str, Any]:
    """Run one peer in a worker; return its result, or an error if it raised, crashed or timed out."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=worker_main, args=(name, model_path, str(log_path), sender))
    process.start()
    sender.close()
    try:
        return dict(receiver.recv()) if receiver.poll(timeout_s) else {"error": f"no result within {timeout_s:g} s"}
    except EOFError:
        process.join()
        with log_path.open("a+", encoding="utf-8", errors="replace") as log:
            return {"error": exit_reason(process.exitcode or 0, log)}
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    main()
