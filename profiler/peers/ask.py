"""Run a peer in a process of its own, with a time limit, and read its answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cloudpickle

from profiler.errors import ModelError, one_line
from profiler.peers.peer import Answer, Failure, find

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from torch import nn

    Make = Callable[[], tuple[nn.Module, tuple[Any, ...], dict[str, Any]]]

LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Given:
    """A live model with its inputs, to be handed over as they are."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
        """Give them."""
        return self.model, self.args, self.kwargs


class Subject:
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


def ask(name: str, subject: Subject, *, limit_s: float = LIMIT_S) -> Answer | Failure:
    """Let the peer *name* count *subject*; a crash, a hang or an abort is a failure, in the peer's words."""
    if find(name).installed is None:
        return Failure(f"not installed; {find(name).install}")
    answer = subject.path.with_name(f"answer-{name}")
    command = [sys.executable, "-m", "profiler.peers.child", name, str(subject.path), str(answer)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        return Failure(f"no answer in {limit_s:g} s")
    if not answer.exists():
        return Failure(_last_words(done))
    row = json.loads(answer.read_text(encoding="utf-8"))
    return Failure(row["error"]) if "error" in row else Answer(**row)


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Say how a process ended that left no answer."""
    said = done.stderr.strip().splitlines()
    how = f"killed by {signal.Signals(-done.returncode).name}" if done.returncode < 0 else f"status {done.returncode}"
    return f"{how}: {said[-1].strip()}" if said else how
