"""Custom operators whose formula is registered with torch's own counter."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import flop_registry, register_flop_formula

import profiler


@pytest.fixture
def operator():
    """Return an operator that is registered with 6 FLOPs for each element of its result."""

    @torch.library.custom_op("torch_registry_tests::scaled", mutates_args=())
    def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
        return x * factor

    packet = torch.ops.torch_registry_tests.scaled
    register_flop_formula(packet)(lambda _x, _factor, *, out_shape=None, **_: 6 * out_shape.numel())
    yield scaled
    del flop_registry[packet]


def test_its_flops_are_those_of_the_formula(operator):
    with profiler.profile() as p:
        operator(torch.ones(3, 5), 2.0)
    assert p.is_complete
    assert (p.totals.macs, p.totals.flops) == (3 * 3 * 5, 6 * 3 * 5)
