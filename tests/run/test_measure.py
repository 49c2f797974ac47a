"""``measure()`` with a fake clock."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import InputError, ModelError
from profiler.util import timing


class Clock:
    """Advances when a ``Takes`` model runs."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Takes(nn.Module):
    """A linear layer whose passes take the given times."""

    def __init__(self, clock: Clock, times: list[float]) -> None:
        super().__init__()
        self.layer, self.clock, self.times = nn.Linear(8, 4), clock, iter(times)

    def forward(self, x):
        self.clock.now += next(self.times)
        return self.layer(x)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_the_median_is_of_the_runs_after_warm_up(clock):
    """One run is counted and two warm up; of 1, 9 and 2 seconds the median is 2."""
    measurement = profiler.measure(Takes(clock, [50, 60, 70, 1, 9, 2]), torch.zeros(1, 8), runs=3, warm=2)
    assert measurement.times_s == (1, 9, 2)
    assert measurement.seconds == 2


def test_rates_are_counts_over_the_median(clock):
    """8·4 MAC and 4 additions are 68 FLOP; 8 + 4 + 32 + 4 numbers of 4 bytes."""
    measurement = profiler.measure(Takes(clock, [0, 2]), torch.zeros(1, 8), runs=1, warm=0)
    assert (measurement.flops, measurement.bytes) == (68, 192)
    assert (measurement.flops_per_s, measurement.bytes_per_s) == (34, 96)
    assert measurement.share_of(0.5) == 0.25
    assert (measurement.figure.value, measurement.figure.kind) == (2, "measured")


def test_buffers_and_random_numbers_are_afterwards_what_they_were():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout()).train()
    before, state = model[0].running_mean.clone(), torch.get_rng_state()
    profiler.measure(model, torch.ones(8, 4), runs=1)
    assert torch.equal(model[0].running_mean, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_on_meta_does_not_run():
    with pytest.raises(InputError, match="cannot time a model on meta"):
        profiler.measure(nn.Linear(2, 2, device="meta"), torch.zeros(1, 2, device="meta"))


def test_no_runs_are_an_error():
    with pytest.raises(InputError, match="cannot time 0 runs"):
        profiler.measure(nn.Linear(2, 2), torch.zeros(1, 2), runs=0)


def test_a_model_that_raises_is_a_model_error():
    with pytest.raises(ModelError, match="Linear raised RuntimeError"):
        profiler.measure(nn.Linear(2, 2), torch.zeros(1, 3))
