"""Reductions and scans against their definitions, on numbers that count their operations."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
import torch
from formulas.scalar_operations import (
    Tally,
    absolute,
    count_operations,
    counts,
    entry,
    exp,
    log,
    matches,
    maximum,
    minimum,
    sqrt,
    total,
    where,
)

ROWS, N = 3, 5
ROW = [1.5, -2.0, 0.0, 4.0, 3.0]


def mean(row):
    return total(row) / len(row)


def variance(row, correction=1):
    middle = mean(row)
    differences = [x - middle for x in row]
    return total(d * d for d in differences) / (len(row) - correction)


def logsumexp(row):
    most = total(row, maximum)
    return most + log(total(exp(x - most) for x in row))


def largest(row):
    return total(row, maximum)


def place_of(row, better):
    """Return the index of the best element, comparing each element but the first with the best so far."""
    best, place = row[0], 0
    for i, x in enumerate(row[1:], 1):
        if better(x, best):
            best, place = x, i
    return place


def norm(p):
    def of(row):
        if p == 0:
            return total(where(x != 0, 1, 0) if i else as_number(x != 0, x) for i, x in enumerate(row))
        return total(absolute(x) ** p for x in row) ** (1 / p)

    return of


def as_number(outcome, like):
    """Return a counting 1 or 0, so that sums with it are counted."""
    return type(like)(float(outcome), like.tally)


def truth(x):
    return as_number(x.value != 0, x)  # converting to Boolean is free


#: Operator, its call on the rows of a matrix, and its definition on one row.
REDUCTIONS = [
    ("sum", lambda x: x.sum(1), total),
    ("prod", lambda x: x.prod(1), lambda row: total(row, lambda a, b: a * b)),
    ("amax", lambda x: x.amax(1), largest),
    ("amin", lambda x: x.amin(1), lambda row: total(row, minimum)),
    ("max", lambda x: x.max(1).values, largest),
    ("min", lambda x: x.min(1).values, lambda row: total(row, minimum)),
    ("argmax", lambda x: x.argmax(1), lambda row: place_of(row, lambda a, b: a > b)),
    ("argmin", lambda x: x.argmin(1), lambda row: place_of(row, lambda a, b: a < b)),
    ("all", lambda x: x.all(1), lambda row: total(map(truth, row), lambda a, b: a * b)),
    ("any", lambda x: x.any(1), lambda row: total(map(truth, row), maximum)),
    ("mean", lambda x: x.mean(1), mean),
    ("aminmax", lambda x: torch.stack(x.aminmax(dim=1), -1), lambda row: [total(row, minimum), largest(row)]),
    ("count_nonzero", lambda x: x.count_nonzero(1), lambda row: total(as_number(x != 0, x) for x in row)),
    ("nansum", lambda x: x.nansum(1), lambda row: total(where(x != x, 0, x) for x in row)),  # noqa: PLR0124
    ("var", lambda x: x.var(1), variance),
    ("var", lambda x: x.var(1, correction=0), lambda row: variance(row, 0)),
    ("var_mean", lambda x: torch.var_mean(x, 1)[0], variance),
    ("std", lambda x: x.std(1), lambda row: sqrt(variance(row))),
    ("std_mean", lambda x: torch.std_mean(x, 1)[0], lambda row: sqrt(variance(row))),
    ("logsumexp", lambda x: x.logsumexp(1), logsumexp),
    ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, 2, 1),
     lambda row: sqrt(total(x * x for x in row))),
    ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, 1, 1), lambda row: total(absolute(x) for x in row)),
    ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, 3, 1), norm(3)),
    ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, 2.5, 1), norm(2.5)),
    ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, 0, 1),
     lambda row: total(as_number(x != 0, x) for x in row)),
    ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, math.inf, 1),
     lambda row: total(map(absolute, row), maximum)),
    ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, -math.inf, 1),
     lambda row: total(map(absolute, row), minimum)),
    ("norm", lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, 4.0, [1]), norm(4)),
    ("norm", lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, 0.5, [1]), norm(0.5)),
    ("norm", lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, math.inf, [1]),
     lambda row: total(map(absolute, row), maximum)),
    ("norm", lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, None, [1]), lambda row: sqrt(total(x * x for x in row))),
    ("norm", lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, 2.5, [1]), norm(2.5)),
    ("norm", lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, 5, [1]), norm(5)),
    ("norm", lambda x: torch.ops.aten.norm.ScalarOpt_dim(x, 1, [1]), lambda row: total(absolute(x) for x in row)),
    ("cumsum", lambda x: x.cumsum(1), lambda row: [*accumulate(row)]),
    ("cumprod", lambda x: x.cumprod(1), lambda row: [*accumulate(row, lambda a, b: a * b)]),
    ("cummax", lambda x: x.cummax(1).values, lambda row: [*accumulate(row, maximum)]),
    ("cummin", lambda x: x.cummin(1).values, lambda row: [*accumulate(row, minimum)]),
    ("logcumsumexp", lambda x: x.logcumsumexp(1), lambda row: [log(s) for s in accumulate(map(exp, row))]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "run", "define"), REDUCTIONS, ids=[name for name, _, _ in REDUCTIONS])
def test_a_reduction_costs_what_its_definition_computes(name, run, define):
    x = torch.tensor([ROW, [r + 1 for r in ROW], [2 * r for r in ROW]], dtype=torch.float64)
    result = []
    cost = entry(f"aten.{name}", lambda: result.append(run(x)))
    tally = Tally()
    expected = [define(row) for row in tally.numbers(x)]
    assert matches(expected, result[0])
    assert counts(cost) == tally.counts


@pytest.mark.parametrize(
    ("run", "flops"),
    [
        (lambda x: x.sum(), 23),
        (lambda x: x.sum((0, 2)), 21),
        (lambda x: x.sum(-1, keepdim=True), 18),
        (lambda x: x.mean(), 24),
        (lambda x: x.max(), 23),
        (lambda x: x.all(), 23),
        (lambda x: x.argmax(), 23),
        (lambda x: x.var(), 96),
        (lambda x: x[:0].sum(), 0),
        (lambda x: x[:, :, :0].sum(-1), 0),
        (lambda x: x[0, 0, 0].sum(), 0),
        (lambda x: x[:1].expand(2, 3, 4).sum(), 23),
        (lambda x: torch.trace(x[0]), 2),
        (lambda x: torch.equal(x, x + 0), 2 * 24 - 1 + 24),
        (lambda x: torch.cumsum(x[0, 0, 0], 0), 0),
    ],
)
def test_n_elements_to_m_results_take_n_minus_m(run, flops):
    assert count_operations(lambda: run(torch.rand(2, 3, 4))) == (flops, 0)


@pytest.mark.parametrize(
    ("p", "define"),
    [
        (2.0, lambda row: sqrt(total(x * x for x in row))),
        (3.0, norm(3.0)),
        (math.inf, lambda row: total(map(absolute, row), maximum)),
    ],
)
def test_a_norm_of_a_sparse_tensor_is_that_of_what_it_stores(p, define):
    x, tally, result = torch.tensor(ROW, dtype=torch.float64), Tally(), []
    cost = entry("aten.norm", lambda: result.append(torch.norm(x.to_sparse(), p)))
    assert matches([define(tally.numbers(x[x != 0]))], result[0].reshape(1))
    assert counts(cost) == tally.counts


def test_a_distance_is_the_norm_of_a_difference():
    x, y = torch.rand(4, 1), torch.rand(6)
    assert count_operations(lambda: torch.dist(x, y)) == (24 + 24 + 23, 1)


def test_a_power_sum_is_a_norm_without_its_root():
    """Squares and sums; |x|³ is a function of each element."""
    x = torch.rand(4, 6)
    powsum = getattr(torch.ops.aten, "linalg__powsum", None)
    if powsum is None:
        pytest.skip("this version of torch has no power sums")
    assert count_operations(lambda: powsum(x, 2, [1])) == (24 + 20, 0)
    assert count_operations(lambda: powsum(x, 3, [1])) == (24 + 20, 24)


def test_to_renormalise_takes_the_norms_and_scales():
    """N = 24, M = 4: squares, adds and roots; a compare, an add and a divide per row; a multiply per element."""
    assert count_operations(lambda: torch.renorm(torch.rand(4, 6), 2, 0, 0.5)) == (24 + 20 + 3 * 4 + 24, 4)


def test_to_compare_within_a_tolerance_takes_six_operations_an_element():
    """|a − b| ≤ atol + rtol·|b|."""
    tally = Tally()
    a, b = tally.numbers(torch.rand(7)), tally.numbers(torch.rand(7))
    outcomes = [as_number(absolute(p - q) <= 1e-3 + 1e-2 * absolute(q), p) for p, q in zip(a, b, strict=True)]
    total(outcomes, lambda v, w: v * w)
    assert count_operations(lambda: torch.ops.aten.allclose(torch.rand(7), torch.rand(7))) == tally.counts


def test_a_sparse_sum_adds_what_is_stored():
    x = torch.eye(6).to_sparse()
    assert count_operations(lambda: torch.sparse.sum(x)) == (5, 0)
