"""``torch.cond`` in a profiled block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler

X = torch.ones(2, 8)
PRODUCT = 2 * 8 * 8


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.twice = nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

    def forward(self, x):
        return torch.cond(x.sum() > 0, self.wide, self.twice, (x,))


@pytest.mark.parametrize(("sign", "products"), [(1, 1), (-1, 2)])
@pytest.mark.parametrize("captured_alone", [False, True])
def test_the_branch_that_runs_is_counted_with_its_gradients(sign, products, captured_alone):
    model = Branches()
    x = (sign * X).requires_grad_(not captured_alone)
    with profiler.profile(model) as p:
        model(x).sum().backward()
    assert p.uncounted == ()
    assert p.phases["forward"].macs == products * PRODUCT
    assert p.phases["backward"].macs == (2 * products - captured_alone) * PRODUCT
    chosen = set((model.wide if sign > 0 else model.twice).parameters())
    assert {p for p in model.parameters() if p.grad is not None} == chosen


def test_conditions_are_compiled_again_after_the_block():
    key, kernels = torch._C.DispatchKey.Autograd, torch.ops.higher_order.cond.py_kernels
    before = kernels[key]
    with profiler.profile(Branches()):
        assert kernels[key] is not before
    assert kernels[key] is before


def test_without_gradients_it_is_the_same():
    assert profiler.count(Branches(), X).totals.macs == PRODUCT
