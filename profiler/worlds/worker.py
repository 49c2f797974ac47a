"""Trace a rank in a process of its own: a process has one default process group, and its memory ends with it.

``python -m profiler.worlds.worker`` reads one request, a line of JSON on stdin, and writes the saved profile, or the
error, to the file that the request names. Its stdin stays open as long as the process that started it lives; when that
ends, so does the worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from profiler import errors
from profiler.errors import ModelError, ProfilerError, one_line
from profiler.tally.saved import from_json, to_json
from profiler.util.permissions import Permissions, permissions, permit
from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.mesh import Mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_step import profile_rank
from profiler.worlds.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from profiler.tally import Profile

_LAST_LINES = 300


def profile_in_process(step: Step, plan: ParallelPlan, rank: int, against: Sequence[str] = ()) -> Profile:
    """Profile a rank of a fake world in a new process, and compare it with counters.

    Raises:
        ProfilerError: As raised there; a worker that crashed is a ``ModelError``.
    """
    with tempfile.TemporaryDirectory(prefix="profiler-") as folder:
        answer = Path(folder) / "answer"
        request = {
            "step": asdict(step),
            "plan": asdict(plan),
            "rank": rank,
            "against": list(against),
            "answer": str(answer),
            "sys_path": sys.path,
            "permissions": asdict(permissions()),
        }
        log = run_worker("profiler.worlds.worker", json.dumps(request))
        if not answer.is_file():
            msg = f"rank {rank} of {step.target} could not be traced: its process ended: {log[-_LAST_LINES:].strip()}"
            raise ModelError(msg)
        return _read(json.loads(answer.read_text(encoding="utf-8")))


def run_worker(module: str, request: str) -> str:
    """Run a worker to its end; return what it printed."""
    command = [sys.executable, "-m", module]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, env=_environment(), **pipes) as process:  # type: ignore[call-overload] # noqa: S603 - our own module
        try:
            process.stdin.write(request + "\n")
            process.stdin.flush()
            return str(process.stdout.read())
        finally:
            process.kill()


def _environment() -> dict[str, str]:
    """Return this process's environment, in which the worker finds the same packages."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _read(answer: dict[str, Any]) -> Profile:
    """Return the profile in an answer, or raise its error."""
    if "profile" in answer:
        return from_json(answer["profile"])
    raise error_of(answer)


def error_of(answer: dict[str, Any]) -> ProfilerError:
    """Return the error in an answer."""
    kind = getattr(errors, answer["kind"], ProfilerError)
    error: ProfilerError = ProfilerError.__new__(kind)
    Exception.__init__(error, answer["message"])
    return error


def main() -> None:
    """Trace the rank of the request on stdin."""
    answer_request(_answer)


def answer_request(answer: Callable[[dict[str, Any]], object]) -> None:
    """Write the answer to the request on stdin to the file that it names; end when the caller ends."""
    request = json.loads(sys.stdin.readline())
    Thread(target=_end_with_caller, daemon=True).start()
    sys.path[:] = request["sys_path"]
    path = Path(request["answer"])
    with permit(Permissions(**request["permissions"])):
        path.with_suffix(".part").write_text(json.dumps(answer(request)), encoding="utf-8")
    path.with_suffix(".part").replace(path)


def _end_with_caller() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _answer(request: dict[str, Any]) -> dict[str, str]:
    """Return the saved profile of the rank, or its error."""
    plan, step = plan_of(request["plan"]), step_of(request["step"])
    try:
        with fake_ranks(request["rank"], plan.mesh.world):
            return {"profile": to_json(profile_rank(step, plan, against=request["against"]))}
    except Exception as error:  # noqa: BLE001 - the caller shows any error in one line
        return answer_of(error, step.target)


def answer_of(error: Exception, target: str) -> dict[str, str]:
    """Return an error as an answer."""
    if isinstance(error, ProfilerError):
        return {"kind": type(error).__name__, "message": str(error)}
    return {"kind": "ModelError", "message": f"{target} raised {one_line(error)}"}


def plan_of(values: dict[str, Any]) -> ParallelPlan:
    """Return the plan in a request."""
    mesh = Mesh(tuple((axis, size) for axis, size in values["mesh"]["sizes"]))
    return ParallelPlan(mesh, **{name: value for name, value in values.items() if name != "mesh"})


def step_of(values: dict[str, Any]) -> Step:
    """Return the step in a request."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Step(**fields)


if __name__ == "__main__":
    main()
