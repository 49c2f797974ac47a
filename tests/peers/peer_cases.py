"""Many small cases for one peer: all run in one child process, each in a fork of its own, and are reconciled here.

    PEER_CASES = PeerCases("thop", {"linear": lambda: given(nn.Linear(2, 3), torch.ones(1, 2))})
    PEER_CASES.total("linear")                # the finding of the total work
    PEER_CASES.total("linear", "parameter")   # the finding of the parameters
    PEER_CASES.findings("linear")             # all findings, by subject and unit

The imports of a child process take seconds, a case takes milliseconds. The results are cached in the object, which
lives as long as the test module. A case is built twice, here and in the child, and must be the same model both times.
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
from profiler.peers import PeerFailure, PeerResult, find_peer
from profiler.peers.worker import run_on_file
from profiler.reconcile import count_with_facts, reconcile

if TYPE_CHECKING:
    from torch import nn

    from profiler.peers.runner import ModelFactory
    from profiler.values.findings import Finding


def given(model: nn.Module, *args: Any, **kwargs: Any) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Return a case: the model in eval mode, and its inputs."""
    return model.eval(), args, kwargs


def reconcile_case(peer: str, make: ModelFactory, result: PeerResult | PeerFailure) -> tuple[Finding, ...]:
    """Count a case in this process, and explain the peer's result."""
    model, args, kwargs = make()
    return reconcile(*count_with_facts(model, args, kwargs, profiler.count), find_peer(peer), result)


class Case(NamedTuple):
    """A model, our count, and the peer's count with the causes of the difference."""

    make: ModelFactory
    ours: int
    claimed: int | float
    #: The amount of each cause, by code.
    causes: dict[str, int]


class PeerCases:
    """The cases of one peer, by name, and their findings."""

    def __init__(self, peer: str, cases: dict[str, ModelFactory]) -> None:
        self.peer = peer
        self.cases = cases
        self.findings = cache(self._findings)

    def total(self, case: str, unit: str | None = None) -> Finding:
        """Return the finding of the total, by default in the unit of the peer."""
        return self.findings(case)["total", unit or find_peer(self.peer).unit]

    @cached_property
    def results(self) -> dict[str, PeerResult | PeerFailure]:
        """The peer's result for each case."""
        for make in self.cases.values():  # the child cannot import the test module: pickle its code
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
        results = [PeerFailure(row["error"]) if "error" in row else PeerResult(**row) for row in rows]
        return dict(zip(self.cases, results, strict=True))

    def _findings(self, case: str) -> dict[tuple[str, str], Finding]:
        findings = reconcile_case(self.peer, self.cases[case], self.results[case])
        return {(finding.claim.subject, finding.claim.unit): finding for finding in findings}


def causes(finding: Finding) -> dict[str, int | float]:
    """Return the amount of each cause by its code."""
    return {cause.code: cause.amount for cause in finding.causes}


def main(peer: str, folder: str, count: str) -> None:
    """Run the peer on each case in a folder; write the results beside them."""
    torch.set_num_threads(1)
    _import(peer)
    import_module("torch._dynamo")  # FlopCounterMode imports it: do it once, not in every fork

    for number in range(int(count)):
        fork = os.fork()  # so that the peer cannot affect the next case
        if not fork:
            try:
                _run(peer, Path(folder) / f"{number}")
            finally:
                os._exit(0)
        _, status = os.waitpid(fork, 0)
        if status:
            (Path(folder) / f"{number}.json").write_text(json.dumps({"error": f"crashed: status {status}"}))


def _import(peer: str) -> None:
    """Import the peer before the forks, so that it is imported once."""
    for name in find_peer(peer).distributions:
        for module in (name, f"{name}.nn"):
            with suppress(ImportError):
                import_module(module)


def _run(peer: str, model_path: Path) -> None:
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            row = run_on_file(peer, model_path)
    except Exception as error:  # noqa: BLE001 - the case itself is broken; its test fails with this text
        row = {"error": f"the case cannot be built: {error!r}"}
    model_path.with_suffix(".json").write_text(json.dumps(row))


if __name__ == "__main__":
    main(*sys.argv[1:])
