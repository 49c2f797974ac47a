"""Counting where a compiled function runs: the calls count, and a block says that it cannot begin there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import InputError

X = torch.ones(4, 8)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_function_may_count_a_model():
    model = net()

    @torch.compile(backend="eager")
    def function(x):
        counted = profiler.count(model, X).totals.macs
        stepped = profiler.count_step(model, X).phases["backward"].macs
        return x + 1, counted, stepped

    result, counted, stepped = function(X)
    assert (counted, stepped) == (4 * 8 * 8, 4 * 8 * 8)
    assert torch.equal(result, X + 1)
    assert model[1].num_batches_tracked.item() == 0


@pytest.mark.filterwarnings("ignore")
def test_a_block_cannot_begin_in_a_compiled_function():
    model = net()

    @torch.compile(backend="eager")
    def function(x):
        with profiler.profile(model):
            return model(x)

    with pytest.raises(InputError, match="begin it around the call of the function"):
        function(X)
    assert not model[0]._forward_hooks
    assert profiler.count(model, X).totals.macs == 4 * 8 * 8
