"""One peer, in a process of its own."""

from __future__ import annotations

import os
from dataclasses import asdict
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import cloudpickle

from profiler.errors import one_line
from profiler.peers.peer import find
from profiler.values.findings import as_number

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def main(name: str, subject: str, log: str, sender: Connection[dict[str, Any], Any]) -> None:
    """Run the peer, and send its answer or its error; whatever it prints is kept in the log."""
    with Path(log).open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    Thread(target=_end_with_the_asker, daemon=True).start()
    sender.send(answer(name, Path(subject)))


def answer(name: str, subject: Path) -> dict[str, Any]:
    """Let a peer count what a file holds: the fields of its ``PeerResult``, or its error."""
    with subject.open("rb") as file:
        model, args, kwargs = cloudpickle.load(file)()
    try:
        row = asdict(find(name).run(model, args, kwargs))
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its finding
        return {"error": one_line(error)}
    return {key: _numbers(value) for key, value in row.items()}


def _end_with_the_asker() -> None:
    asker = parent_process()
    if asker is not None:
        wait([asker.sentinel])
        os._exit(1)


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_number(number) for key, number in value.items()}
    return value if value is None else as_number(value)
