"""Custom operators whose formula is registered with torch's own counter."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils.flop_counter import flop_registry, register_flop_formula

import profiler


@pytest.fixture(scope="module")
def scaled():
    """Return a custom operator, defined once: torch removes the name of one that is collected, also from the next."""

    @torch.library.custom_op("torch_registry_tests::scaled", mutates_args=())
    def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
        return x * factor

    return scaled


@pytest.fixture
def operator(scaled):
    """Return an operator that is registered with 6 FLOPs for each element of its result."""
    packet = torch.ops.torch_registry_tests.scaled
    register_flop_formula(packet)(lambda _x, _factor, *, out_shape=None, **_: 6 * out_shape.numel())
    yield scaled
    del flop_registry[packet]


def test_a_float_whose_value_is_not_kept_is_not_a_number(operator):
    given = []

    def flops(_x, factor, *, out_shape=None, **_):
        given.append(factor)
        return 6

    flop_registry[torch.ops.torch_registry_tests.scaled] = flops
    for factor in (2.0, 0.3):
        with profiler.profile() as p:
            operator(torch.ones(3, 5), factor)
        assert p.totals.flops == 6
    assert given[0] == 2.0
    assert math.isnan(given[1])


def test_its_flops_are_those_of_the_formula(operator):
    with profiler.profile() as p:
        operator(torch.ones(3, 5), 2.0)
    assert p.is_complete
    assert (p.totals.macs, p.totals.flops) == (3 * 3 * 5, 6 * 3 * 5)
