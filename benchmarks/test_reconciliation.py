"""The time to explain a peer's numbers: collecting the facts about the modules, and applying the deviation rules.

The runs of the peers themselves are not timed: each runs once, in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from models import ready

import profiler
from profiler.peers import PeerResult, find_peer
from profiler.reconcile import count_with_facts, reconcile

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from profiler.trace.module_facts import ModuleFacts

NAME = "vit_b_16"
PEERS = ["flop_counter", "fvcore", "torch_profiler"]


@pytest.fixture(scope="module")
def counted() -> tuple[profiler.Profile, tuple[ModuleFacts, ...]]:
    """Return the profile of the model and the facts about its modules."""
    return count_with_facts(*ready(NAME), profiler.count)


@pytest.fixture(params=PEERS)
def named_result(request: pytest.FixtureRequest) -> tuple[str, PeerResult]:
    """Return the name of a peer and its result for the same forward pass."""
    return request.param, find_peer(request.param).run(*ready(NAME))


def test_observing(benchmark: BenchmarkFixture) -> None:
    """Time the count and the second run that collects the facts."""
    benchmark.pedantic(count_with_facts, (*ready(NAME), profiler.count), rounds=3, warmup_rounds=1)


def test_reconciling(
    benchmark: BenchmarkFixture,
    counted: tuple[profiler.Profile, tuple[ModuleFacts, ...]],
    named_result: tuple[str, PeerResult],
) -> None:
    """Time the rules of the peer's deviations and the comparison of the total and every module."""
    name, result = named_result
    benchmark.group = "reconciling"
    findings = benchmark(reconcile, *counted, find_peer(name), result)
    assert not any(finding.unexplained for finding in findings)
