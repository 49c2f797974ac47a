"""What follows a run: pricing its records, adding them up, saving, loading, comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from models import ready

import profiler
from profiler.guard import compact, diff
from profiler.tally import tally
from profiler.tally.saved import from_json, to_json
from profiler.trace import Session

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from profiler.trace import Trace

NAME = "densenet121"


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Trace a model of 435 modules."""
    model, args, kwargs = ready(NAME, "meta")
    session = Session(model)
    session.start()
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    finally:
        session.stop()
    return session.trace()


@pytest.fixture(scope="module")
def profile(trace: Trace) -> profiler.Profile:
    """Price it."""
    return tally(trace)


def test_pricing(benchmark: BenchmarkFixture, trace: Trace) -> None:
    """One formula for each record."""
    benchmark(tally, trace)


def test_adding_up(benchmark: BenchmarkFixture, trace: Trace) -> None:
    """Tree, phases and operators of a profile that was not read yet."""

    def fresh() -> tuple[tuple[profiler.Profile], dict[str, object]]:
        return (tally(trace),), {}

    benchmark.pedantic(lambda p: (p.tree, p.phases, p.operators), setup=fresh, rounds=20, warmup_rounds=2)


def test_saving(benchmark: BenchmarkFixture, profile: profiler.Profile) -> None:
    """To JSON."""
    benchmark(to_json, profile)


def test_loading(benchmark: BenchmarkFixture, profile: profiler.Profile) -> None:
    """From JSON, with its sums made anew."""
    benchmark(from_json, to_json(profile))


def test_comparing(benchmark: BenchmarkFixture, profile: profiler.Profile) -> None:
    """With its own baseline, all of the difference read."""

    def compared() -> object:
        found = diff(compact(profile), profile)
        return found.totals, found.modules, found.operators

    benchmark(compared)
