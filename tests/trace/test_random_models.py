"""Random models against closed forms: every product is counted once, and belongs to the module that computes it."""

from __future__ import annotations

from random import SystemRandom

import pytest
from random_models import random_model

import profiler

FRESH = SystemRandom().randrange(2**31)


def check(seed):
    """Count a step of the model of *seed*, and compare the MACs of each module."""
    case = random_model(seed)
    with profiler.profile(case.model) as p:
        out = case.model(case.x)
        if case.train:
            out.sum().backward()
    own = {path: node.own.macs for path, node in p.result.nodes.items() if node.own.macs}
    assert not p.result.uncounted, case
    assert own == case.macs, f"random_model({seed})"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(10))
def test_random_models_take_the_macs_of_their_closed_forms(block):
    for seed in range(20 * block, 20 * (block + 1)):
        check(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", [1000, FRESH], ids=["fixed seed", "fresh seed"])
def test_a_thousand_random_models_take_the_macs_of_their_closed_forms(start):
    for seed in range(start, start + 1000):
        check(seed)
