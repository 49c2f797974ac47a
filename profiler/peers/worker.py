"""A worker process: runs one peer, sends its result, and exits."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from profiler.errors import one_line
from profiler.peers.registry import find_peer
from profiler.util.processes import exit_with_parent
from profiler.values.findings import as_number

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def main(name: str, model_path: str, log: str, workers: int, sender: Connection[dict[str, Any], Any]) -> None:
    """Run the peer *name* and send its result or error; it reads nothing, and prints to the file *log*."""
    with Path(os.devnull).open() as nothing, Path(log).open("w", encoding="utf-8") as file:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    exit_with_parent()
    _share_cores(workers)
    sender.send(run_on_file(name, Path(model_path)))


def _share_cores(workers: int) -> None:
    """Use as many threads as there are cores for each of *workers* processes: with more they wait for each other."""
    import torch  # noqa: PLC0415 - the command that lists the peers needs none

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def run_on_file(name: str, model_path: Path) -> dict[str, Any]:
    """Run a peer on a pickled model factory; return the fields of its ``PeerResult``, or its ``error``."""
    with model_path.open("rb") as file:
        model, args, kwargs = cloudpickle.load(file)()
    try:
        row = asdict(find_peer(name).run(model, args, kwargs))
    except Exception as error:  # noqa: BLE001 - any exception of a peer is reported as its failure
        return {"error": one_line(error)}
    return {key: _as_numbers(value) for key, value in row.items()}


def _as_numbers(value: Any) -> Any:
    """Convert tensors and NumPy scalars, which some peers return, to numbers that JSON can hold."""
    if isinstance(value, dict):
        return {key: as_number(number) for key, number in value.items()}
    return value if value is None else as_number(value)
