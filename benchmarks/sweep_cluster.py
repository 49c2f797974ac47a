"""A sweep of torchvision's models on this machine and on a Dask cluster of two workers: the same table.

``python benchmarks/sweep_cluster.py [PATTERN…]`` runs the sweep of all models (or of the patterns) three times: with
joblib on this machine; on a cluster of two workers, of which one is killed when a few rows are there; and once more
after the sweep itself was stopped, with its journal. It fails unless all three tables are the same, and prints what
differs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.run.sweep_journal import SweepJournal

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS_BEFORE = 2
_START_S = 60


def command(patterns: list[str], output: Path, *options: str) -> list[str]:
    """Return the command of the sweep."""
    return [sys.executable, "-m", "profiler", "sweep", *patterns, "--output", str(output), "--quiet", *options]


class Cluster:
    """A scheduler and two workers of Dask, in processes of their own."""

    def __init__(self, folder: Path) -> None:
        """Start them, and wait until the scheduler has an address."""
        file = folder / "scheduler.json"
        self._folder = folder
        self.processes = [self._start("scheduler", "--scheduler-file", str(file), "--port", "0", "--no-dashboard")]
        end = time.monotonic() + _START_S
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        options = ["--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--nanny"]
        self.processes += [self._start("worker", *options) for _ in range(2)]
        self.address = json.loads(file.read_text(encoding="utf-8"))["address"]

    def kill_a_worker(self) -> None:
        """Kill the first worker with everything that it started."""
        os.killpg(self.processes[1].pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop all processes that are left."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        local = ["--local-directory", str(self._folder)] if words[0] == "worker" else []
        return subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", "dask", *words, *local],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def rows_of(output: Path) -> int:
    """Return how many rows the journal of a running sweep has."""
    path = SweepJournal(output).path
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def until_rows(process: subprocess.Popen[bytes], output: Path, count: int) -> None:
    """Wait until a running sweep has so many rows, or has ended."""
    while process.poll() is None and rows_of(output) < count:
        time.sleep(0.1)


def tables(patterns: list[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the table of each way to run the sweep."""
    local = folder / "local.csv"
    subprocess.run(command(patterns, local, "--jobs", "2"), check=True)  # noqa: S603 - our own command
    yield "on this machine", local.read_text(encoding="utf-8")
    cluster = Cluster(folder)
    try:
        killed = folder / "killed.csv"
        sweep = subprocess.Popen(command(patterns, killed, "--cluster", cluster.address))  # noqa: S603
        until_rows(sweep, killed, _ROWS_BEFORE)
        cluster.kill_a_worker()
        if sweep.wait():
            print("the sweep failed after its worker was killed")
        yield "on two workers, one killed", killed.read_text(encoding="utf-8")
        resumed = folder / "resumed.csv"
        words = command(patterns, resumed, "--cluster", cluster.address)
        sweep = subprocess.Popen(words, start_new_session=True)  # noqa: S603
        until_rows(sweep, resumed, _ROWS_BEFORE)
        os.killpg(sweep.pid, signal.SIGKILL)
        sweep.wait()
        print(f"stopped with {rows_of(resumed)} rows in the journal")
        subprocess.run(words, check=True)  # noqa: S603
        yield "stopped and resumed", resumed.read_text(encoding="utf-8")
    finally:
        cluster.stop()


def main() -> None:
    """Compare the tables."""
    patterns = sys.argv[1:] or ["torchvision:*"]
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for name, table in tables(patterns, Path(folder)):
            first = table if first is None else first
            same = "the same table" if table == first else "ANOTHER TABLE"
            print(f"{name}: {table.count(chr(10)) - 1} rows, {table.count(',ok,')} ok, {same}", flush=True)
            if table != first:
                sys.stdout.writelines(unified_diff(first.splitlines(True), table.splitlines(True), n=0))
                sys.exit(1)


if __name__ == "__main__":
    main()
