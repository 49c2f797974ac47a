"""Random number operators: the bytes they read and write, and their FLOPs."""

from __future__ import annotations

import pytest
import torch
from formulas.oracle import totals

import profiler

X = torch.rand(3, 4)


@pytest.mark.parametrize(
    "run",
    [
        lambda: torch.rand(3, 4), lambda: torch.randn(3, 4), lambda: torch.rand_like(X), lambda: torch.randn_like(X),
        lambda: torch.empty(3, 4).uniform_(), lambda: torch.empty(3, 4).normal_(), lambda: torch.empty(3, 4).random_(5),
        lambda: torch.empty(3, 4).exponential_(), lambda: torch.empty(3, 4).cauchy_(),
        lambda: torch.empty(3, 4).log_normal_(), lambda: torch.empty(3, 4).geometric_(0.3),
        lambda: torch.normal(0.0, 1.0, (3, 4)),
    ],
)  # fmt: skip
def test_a_draw_computes_and_reads_nothing_and_writes_its_numbers(run):
    cost = totals(run)
    assert (cost.flops, cost.transcendentals, cost.bytes_read, cost.bytes_written) == (0, 0, 0, 12 * 4)


def test_integers_are_written_in_their_own_size():
    assert totals(lambda: torch.randint(5, (3, 4))).bytes_written == 12 * 8
    assert totals(lambda: torch.randperm(6)).bytes_written == 6 * 8


@pytest.mark.parametrize(
    ("run", "parameters"),
    [
        (lambda: torch.normal(X, 1.0), 1),
        (lambda: torch.normal(X, X), 2),
        (lambda: torch.poisson(X), 1),
        (lambda: torch.binomial(X.round(), X), 2),
        (lambda: torch._standard_gamma(X), 1),
        (lambda: torch._sample_dirichlet(X), 1),
    ],
)
def test_a_draw_by_parameters_reads_them(run, parameters):
    with profiler.profile() as p:
        run()
    draw = p.entries[-1]
    assert (draw.other_flops, draw.bytes_read, draw.bytes_written) == (0, parameters * 12 * 4, 12 * 4)


@pytest.mark.parametrize(
    ("run", "read"),
    [
        (lambda: torch.bernoulli(X), 48),
        (lambda: torch.bernoulli(X, 0.3), 0),
        (lambda: torch.empty(3, 4).bernoulli_(0.3), 0),
        (lambda: torch.empty(3, 4).bernoulli_(X), 48),
    ],
)
def test_a_bernoulli_variable_is_a_number_compared_with_its_probability(run, read):
    with profiler.profile() as p:
        run()
    draw = p.entries[-1]
    assert (draw.other_flops, draw.transcendentals, draw.bytes_read, draw.bytes_written) == (12, 0, read, 48)


@pytest.mark.parametrize(
    ("samples", "replacement", "flops"),
    [
        (1, False, 5 + 4),  # divides, and the maximum of five
        (1, True, 5 + 4),
        (3, False, 5 + 5 * 2),  # divides, and the three largest: ⌈log₂ 4⌉ compares per weight
        (6, True, 4 + 5 + 6 * 3),  # adds, divides, and six searches among five
    ],
)
def test_a_category_is_selected_by_its_weight(samples, replacement, flops):
    with profiler.profile() as p:
        torch.multinomial(torch.ones(3, 5), samples, replacement)
    cost = next(e for e in p.entries if e.record.packet == "aten.multinomial")
    assert cost.other_flops == 3 * flops
