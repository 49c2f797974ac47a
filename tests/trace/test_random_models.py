"""Random models against closed forms: every product is counted once, and belongs to the module that computes it."""

from __future__ import annotations

from collections import Counter
from random import SystemRandom

import pytest
from random_models import random_model

import profiler

FRESH = SystemRandom().randrange(2**31)


def check(seed):
    """Count a step of the model of *seed*, and compare the MACs of each phase and module."""
    try:
        case = random_model(seed)
        with profiler.profile(case.model) as p:
            out = case.model(case.x)
            if case.train:
                out.sum().backward()
        macs: Counter[tuple[str, str]] = Counter()
        for entry in p.entries:
            macs[entry.record.phase, entry.record.module] += entry.totals.macs
        assert not p.uncounted
        assert {place: number for place, number in macs.items() if number} == case.macs
    except Exception as error:
        error.add_note(f"to run it again: random_model({seed})")
        raise


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(10))
def test_random_models_take_the_macs_of_their_closed_forms(block):
    for seed in range(10 * block, 10 * (block + 1)):
        check(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", [1000, FRESH], ids=["fixed seed", "fresh seed"])
def test_a_thousand_random_models_take_the_macs_of_their_closed_forms(start):
    for seed in range(start, start + 1000):
        check(seed)
