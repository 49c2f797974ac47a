"""``python -m profiler.peers.child PEER SUBJECT ANSWER``: one peer, in a process that it may leave as it likes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cloudpickle

from profiler.claims import exact
from profiler.errors import one_line
from profiler.peers.peer import find


def main(name: str, subject: str, answer: str) -> None:
    """Run the peer, and write its answer or its error."""
    row = _answer(name, Path(subject))
    Path(answer).write_text(json.dumps(row), encoding="utf-8")


def _answer(name: str, subject: Path) -> dict[str, Any]:
    with subject.open("rb") as file:
        model, args, kwargs = cloudpickle.load(file)()
    try:
        row = asdict(find(name).run(model, args, kwargs))
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its finding
        return {"error": one_line(error)}
    return {key: _numbers(value) for key, value in row.items()}


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: exact(number) for key, number in value.items()}
    return value if value is None else exact(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
