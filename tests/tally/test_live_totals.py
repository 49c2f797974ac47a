"""The totals of a block, read before anything else, are those of its whole profile."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import OverlapError


class Grows(nn.Module):
    """Has a layer only while it runs."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x):
        self.second = nn.Linear(4, 4)
        result = self.second(self.first(x))
        del self.second
        return result


def transformer():
    return nn.Sequential(*(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)))


MODELS = {
    "layers": (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.ReLU()), (3, 4)),
    "grows": (Grows, (3, 4)),
    "transformer": (transformer, (2, 5, 8)),
    "complex": (lambda: nn.Linear(4, 4, dtype=torch.complex64), (3, 4)),
}


@pytest.mark.parametrize("step", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_totals_are_those_of_the_profile(name, step):
    make, shape = MODELS[name]
    model = make()
    x = torch.ones(shape, dtype=next(model.parameters()).dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with profiler.profile(model) as p:
        for _ in range(2):
            y = model(x)
            if step:
                y.abs().sum().backward()
                optimizer.step()
        inside = p.totals
        assert inside == p.result.totals
    before = p.totals
    assert before == p.result.totals
    assert before.macs == p.result.tree.total.macs
    assert before.params == sum(parameter.numel() for parameter in model.parameters())
    assert p.totals == before


def test_uncounted_calls_are_in_the_totals():
    with profiler.profile() as p:
        torch.linalg.eig(torch.eye(2))
    assert p.totals.uncounted == 1
    assert p.totals == p.result.totals


def test_totals_of_overlapping_blocks_are_refused():
    first, second = profiler.profile(), profiler.profile()
    first.__enter__()
    second.__enter__()
    with pytest.raises(OverlapError):
        first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    with pytest.raises(OverlapError):
        _ = first.totals
