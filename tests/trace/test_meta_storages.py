"""On ``meta`` the result of an operator keeps as large a storage as on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler

F = nn.functional

CALLS = {
    "mse_loss": lambda x: F.mse_loss(x, x),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x),
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, torch.ones_like(x)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x.sigmoid(), torch.ones_like(x)),
    "mse_loss without a sum": lambda x: F.mse_loss(x, x, reduction="none"),
    "fold": lambda x: F.fold(x.view(1, 16, 9), (4, 4), 2),
}


class Calls(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", CALLS)
def test_the_peak_on_meta_is_that_of_the_cpu(name):
    x = torch.full((12, 12), 0.5)
    here, meta = (profiler.count(Calls(CALLS[name]), x.to(device)) for device in ("cpu", "meta"))
    assert meta.totals.peak_memory == here.totals.peak_memory
    assert here.totals.peak_memory["temporary"] >= 12 * 12 * 4
