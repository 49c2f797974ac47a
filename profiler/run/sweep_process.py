"""Count one point of a sweep in a process of its own, with limits of time and memory.

``python -m profiler.run.sweep_process`` reads one request, a line of JSON on stdin, and writes the row on stdout. This
module imports torch only there, so that what starts the processes stays small: a core, or a worker of a cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from profiler.util.quick_imports import import_quickly, keep_imports

if TYPE_CHECKING:
    from profiler.run.sweep_points import SweepPoint

#: A row of the table: the fields of its point, ``status``, ``error`` and the figures.
Row = dict[str, Any]
_MARK = "\x1eprofiler-row:"
_KILLED = {-9: "killed, as for lack of memory", -6: "aborted", -11: "crashed"}
_LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use."""

    timeout_s: float = 300.0
    #: Bytes of address space; None for no limit.
    memory: int | None = None


def can_limit_memory() -> bool:
    """Return whether this system limits the memory of a process: Windows has no such limits."""
    return find_spec("resource") is not None


def run_point(point: SweepPoint, limits: Limits, granted: dict[str, bool]) -> Row:
    """Return the row of a point: its figures, or why there are none. It raises nothing of the point's own."""
    request = json.dumps({"point": asdict(point), "memory": limits.memory, "permissions": granted})
    command = [sys.executable, "-m", "profiler.run.sweep_process"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload] # noqa: S603 - our own module
        is_late = Event()
        timer = Thread(target=_kill_after, args=(process, limits.timeout_s, is_late), daemon=True)
        try:
            process.stdin.write(request + "\n")
            process.stdin.flush()
            timer.start()
            out = process.stdout.read()
            status = process.wait()
        finally:
            process.kill()
    return asdict(point) | _outcome(out, status, limits.timeout_s, timed_out=is_late.is_set())


def _kill_after(process: subprocess.Popen[str], seconds: float, is_late: Event) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        is_late.set()
        process.kill()


def _outcome(out: str, status: int, timeout_s: float, *, timed_out: bool) -> Row:
    """Return the outcome that a process wrote, or what its end tells."""
    if _MARK in out:
        row: Row = json.loads(out.rpartition(_MARK)[2])
        return row
    if timed_out:
        return {"status": "timeout", "error": f"no result within {timeout_s:g} s"}
    return {"status": "crashed", "error": f"its process {_KILLED.get(status, f'ended with status {status}')}"}


def main() -> None:
    """Count the point of the request on stdin."""
    request = json.loads(sys.stdin.readline())
    Thread(target=_end_with_caller, daemon=True).start()
    _limit_memory(request["memory"])
    keep_imports()
    row = _count(request["point"], request["permissions"])
    sys.stdout.write(_MARK + json.dumps(row))


def _end_with_caller() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _limit_memory(size: int | None) -> None:
    if size is not None:
        import resource  # noqa: PLC0415 - not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _count(point: dict[str, Any], granted: dict[str, bool]) -> Row:
    """Return the figures of a point, or its error."""
    from profiler.errors import ProfilerError, one_line  # noqa: PLC0415 - torch is imported below the limit of memory
    from profiler.util.permissions import Permissions, permit  # noqa: PLC0415

    try:
        with permit(Permissions(**granted)):
            return {"status": "ok", "error": "", **_figures(**point)}
    except MemoryError:
        return {"status": "crashed", "error": "its process ran out of memory"}
    except ProfilerError as error:
        return {"status": "failed", "error": str(error)[:_LONGEST_ERROR]}
    except Exception as error:  # noqa: BLE001 - a point that fails is a row
        return {"status": "failed", "error": one_line(error)}


def _figures(target: str, batch: int | None, input: str | None, dtype: str | None, optimizer: str | None) -> Row:
    import_quickly("torch")
    from profiler.run.count_target import count_target  # noqa: PLC0415 - as above
    from profiler.run.step_options import StepOptions  # noqa: PLC0415
    from profiler.tally.figures import FIGURES  # noqa: PLC0415

    run = None if optimizer is None else StepOptions(optimizer or None)
    specs = () if input is None else (_spec(target, input),)
    p = count_target(target, specs=specs, batch=batch, dtype=dtype, run=run)
    return {name: getattr(p.totals, name) for name in FIGURES} | {"peak_memory": p.totals.peak_memory.get("total", 0)}


def _spec(target: str, text: str) -> str:
    """Return the input specification for a size alone: of a square image, or of a sequence of tokens."""
    from profiler.targets import resolve  # noqa: PLC0415 - as above

    shape = next((argument.value.shape for argument in resolve(target).inputs[:1]), ())
    if not text.isdigit() or len(shape) < 2:  # noqa: PLR2004 - a batch and a size
        return text
    channels = [str(n) for n in shape[1:-2]]
    return "x".join([*channels, text, text] if len(shape) > 2 else [text])  # noqa: PLR2004


if __name__ == "__main__":
    main()
