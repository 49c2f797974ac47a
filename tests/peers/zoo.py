"""Many small cases for one peer: all run in one child process, each in a fork of its own, and reconciled here.

    ZOO = Zoo("thop", {"linear": lambda: given(nn.Linear(2, 3), torch.ones(1, 2))})
    ZOO.whole("linear")                # the finding of the work in total
    ZOO.whole("linear", "parameter")   # of the parameters
    ZOO.findings("linear")             # all of them, by subject and unit

A child's imports take seconds, and a case milliseconds. The answers are kept for as long as the zoo lives, which is a
module of tests. A case is made twice, here and in the child, so it must make the same model every time.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cloudpickle
import torch

import profiler
from profiler.peers import PeerFailure, PeerResult, find
from profiler.peers.worker import answer
from profiler.reconcile import count_with_facts, reconcile

if TYPE_CHECKING:
    from torch import nn

    from profiler.peers.runner import Make
    from profiler.values.findings import Finding


def given(model: nn.Module, *args: Any, **kwargs: Any) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Put a case together: a model in eval mode, and its inputs."""
    return model.eval(), args, kwargs


def reconciled(peer: str, make: Make, answer: PeerResult | PeerFailure) -> tuple[Finding, ...]:
    """Count a case here, and explain what the peer said of it."""
    model, args, kwargs = make()
    return reconcile(*count_with_facts(model, args, kwargs, profiler.count), find(peer), answer)


class Case(NamedTuple):
    """A model, and what its numbers must be."""

    make: Make
    ours: int
    claimed: int | float
    #: The amount of each cause, by its code.
    causes: dict[str, int]


class Zoo:
    """The cases of one peer, by name."""

    def __init__(self, peer: str, cases: dict[str, Make]) -> None:
        self.peer = peer
        self.cases = cases
        self.findings = cache(self._findings)

    def whole(self, case: str, unit: str | None = None) -> Finding:
        """Give the finding of the total; in the peer's own unit of work, if none is given."""
        return self.findings(case)["total", unit or find(self.peer).unit]

    @cached_property
    def answers(self) -> dict[str, PeerResult | PeerFailure]:
        """What the peer says of every case."""
        for make in self.cases.values():  # a test's module cannot be imported elsewhere: its code goes along
            cloudpickle.register_pickle_by_value(sys.modules[make.__module__])
        with tempfile.TemporaryDirectory() as folder:
            for number, make in enumerate(self.cases.values()):
                (Path(folder) / f"{number}").write_bytes(cloudpickle.dumps(make))
            command = [sys.executable, __file__, self.peer, folder, str(len(self.cases))]
            path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=300, env=os.environ | {"PYTHONPATH": path}
            )
            assert done.returncode == 0, done.stderr
            rows = [json.loads((Path(folder) / f"{n}.json").read_text()) for n in range(len(self.cases))]
        read = [PeerFailure(row["error"]) if "error" in row else PeerResult(**row) for row in rows]
        return dict(zip(self.cases, read, strict=True))

    def _findings(self, case: str) -> dict[tuple[str, str], Finding]:
        found = reconciled(self.peer, self.cases[case], self.answers[case])
        return {(finding.claim.subject, finding.claim.unit): finding for finding in found}


def causes(finding: Finding) -> dict[str, int | float]:
    """Give the amount of each cause by its code."""
    return {cause.code: cause.amount for cause in finding.causes}


def main(peer: str, folder: str, count: str) -> None:
    """Answer every case of a folder."""
    torch.set_num_threads(1)
    _import(peer)
    import_module("torch._dynamo")  # a dispatch mode of torch's own does: once, and not in every fork

    for number in range(int(count)):
        fork = os.fork()  # whatever a peer leaves behind, the next case does not meet it
        if not fork:
            try:
                _run(peer, Path(folder) / f"{number}")
            finally:
                os._exit(0)
        _, status = os.waitpid(fork, 0)
        if status:
            (Path(folder) / f"{number}.json").write_text(json.dumps({"error": f"died: status {status}"}))


def _import(peer: str) -> None:
    """Import the peer before the forks, so that none of them has to."""
    for name in find(peer).distributions:
        for module in (name, f"{name}.nn"):
            with suppress(ImportError):
                import_module(module)


def _run(peer: str, subject: Path) -> None:
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            row = answer(peer, subject)
    except Exception as error:  # noqa: BLE001 - the case itself is wrong: its test says so
        row = {"error": f"cannot be made: {error!r}"}
    subject.with_suffix(".json").write_text(json.dumps(row))


if __name__ == "__main__":
    main(*sys.argv[1:])
