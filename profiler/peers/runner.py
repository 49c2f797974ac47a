"""Ask peers, each in a process of its own, and read their answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import cloudpickle

from profiler.errors import ModelError, one_line
from profiler.peers.peer import PeerFailure, PeerResult, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from torch import nn

    Make = Callable[[], tuple[nn.Module, tuple[Any, ...], dict[str, Any]]]

LIMIT_S = 120.0
#: What takes long to import, and is needed there if it was here.
_SLOW = ("torch", "torchvision", "timm", "transformers.modeling_utils", "profiler.targets")
_OWN, _BETWEEN = "profiler.peers.", "profiler.peers.worker_pool"


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A live model with its inputs, to be handed over as they are."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
        """Give them."""
        return self.model, self.args, self.kwargs


class PickledModel:
    """A model and its inputs, on disk for the children while the block lasts."""

    def __init__(self, make: Make) -> None:
        """Hand over what *make* gives: it is called in the child, so it may build the model anew."""
        self._make = make
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        """Write what the children read.

        Raises:
            ModelError: The model cannot be pickled.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="profiler-")
        try:
            with self.path.open("wb") as file:
                cloudpickle.dump(self._make, file)
        except Exception as error:
            self._folder.cleanup()
            msg = f"the model cannot be handed to another process: {one_line(error)}; pass a factory of it instead"
            raise ModelError(msg) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete the files."""
        assert self._folder is not None  # noqa: S101 - set on entry
        self._folder.cleanup()

    @property
    def path(self) -> Path:
        """Where the pickled subject lies."""
        assert self._folder is not None, "enter the subject first"  # noqa: S101 - a mistake of ours
        return Path(self._folder.name) / "subject"


def run_peer(name: str, subject: PickledModel, *, limit_s: float = LIMIT_S) -> PeerResult | PeerFailure:
    """Let the peer *name* count *subject*; a crash, a hang or an abort is a failure, in the peer's words."""
    ((_, answer),) = run_peers([(name, subject)], limit_s=limit_s)
    return answer


def run_peers(
    asked: Sequence[tuple[str, PickledModel]], *, at_once: int = 1, limit_s: float = LIMIT_S
) -> Iterator[tuple[int, PeerResult | PeerFailure]]:
    """Let peers count, each in a process of its own; yield the answers as they come, with their numbers.

    Args:
        asked: The name of each peer, and what it counts.
        at_once: How many processes run at a time.
        limit_s: After how many seconds a peer is given up.
    """
    there: dict[int, tuple[str, str]] = {}
    for number, (name, subject) in enumerate(asked):
        if find(name).installed is None:
            yield number, PeerFailure(f"not installed; {find(name).install}")
        else:
            there[number] = name, str(subject.path)
    if there:
        order = {
            "asked": there,
            "at_once": at_once,
            "limit_s": limit_s,
            "imports": _imports(),
            "path": [str(folder) for folder in sys.path],
        }
        yield from _answers(order, set(there))


def _imports() -> list[str]:
    """List the modules that are imported here and slow to import; other threads may import while this runs."""
    imported = tuple(sys.modules)
    return [name for name in imported if name in _SLOW or (name.startswith(_OWN) and name != _BETWEEN)]


def _answers(order: dict[str, Any], asked: set[int]) -> Iterator[tuple[int, PeerResult | PeerFailure]]:
    """Hand an order over, and yield the answers; one that is not waited for is given up with the process."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-m", _BETWEEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            with suppress(BrokenPipeError), process.stdin:
                json.dump(order, process.stdin)
            for row in map(json.loads, process.stdout):
                number = row.pop("number")
                asked.remove(number)
                yield number, PeerFailure(row["error"]) if "error" in row else PeerResult(**row)
            for number in sorted(asked):
                yield number, PeerFailure(exit_reason(process.wait(), log))
        finally:
            process.terminate()


def exit_reason(status: int, log: TextIO) -> str:
    """Say how a process ended that left no answer, and its last words that are no warning."""
    log.seek(0)
    said = [line for line in log.read().splitlines() if line[:1].strip() and "Warning: " not in line]
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    return f"{how}: {said[-1].strip()}" if said else how
