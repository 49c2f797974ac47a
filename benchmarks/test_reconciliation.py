"""What it takes to explain a peer: to observe the model for it, and to lead its numbers back to ours.

The peers' own runs are theirs, and not timed: each answers once, in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from models import ready

import profiler
from profiler.peers import PeerResult, find
from profiler.reconcile import count_with_facts, reconcile

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from profiler.trace.module_facts import ModuleFacts

NAME = "vit_b_16"
PEERS = ["flop_counter", "fvcore", "torch_profiler"]


@pytest.fixture(scope="module")
def observed() -> tuple[profiler.Profile, tuple[ModuleFacts, ...]]:
    """Count the model, and gather the facts of its modules."""
    return count_with_facts(*ready(NAME), profiler.count)


@pytest.fixture(params=PEERS)
def answer(request: pytest.FixtureRequest) -> tuple[str, PeerResult]:
    """Let a peer count the same forward pass."""
    return request.param, find(request.param).run(*ready(NAME))


def test_observing(benchmark: BenchmarkFixture) -> None:
    """Count, and run again for the facts."""
    benchmark.pedantic(count_with_facts, (*ready(NAME), profiler.count), rounds=3, warmup_rounds=1)


def test_reconciling(
    benchmark: BenchmarkFixture,
    observed: tuple[profiler.Profile, tuple[ModuleFacts, ...]],
    answer: tuple[str, PeerResult],
) -> None:
    """Apply the peer's departures to every entry, and compare the total and every module."""
    name, claimed = answer
    benchmark.group = "reconciling"
    findings = benchmark(reconcile, *observed, find(name), claimed)
    assert not any(finding.unexplained for finding in findings)
