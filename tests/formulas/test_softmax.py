"""Softmax variants against their definitions, on numbers that count their operations."""

from __future__ import annotations

import math

import pytest
import torch
from formulas.scalar_operations import Tally, counts, entry, exp, log, matches, maximum, total

aten = torch.ops.aten
F64 = torch.float64


def softmax(row):
    most = total(row, maximum)
    powers = [exp(x - most) for x in row]
    sum_of_all = total(powers)
    return [power / sum_of_all for power in powers]


def log_softmax(row):
    most = total(row, maximum)
    differences = [x - most for x in row]
    logarithm = log(total(exp(d) for d in differences))
    return [d - logarithm for d in differences]


def safe_softmax(row):
    """Return zeros for a row of only −∞: every element is compared, and the results are combined with AND."""
    outcomes = [type(x)(float(x == -math.inf), x.tally) for x in row]
    all_infinite = total(outcomes, lambda a, b: a * b)
    result = softmax(row)
    return [0.0] * len(row) if all_infinite.value else result


def of_softmax(grads, outputs):
    products = [g * y for g, y in zip(grads, outputs, strict=True)]
    weight = total(products)
    return [p - y * weight for p, y in zip(products, outputs, strict=True)]


def of_log_softmax(grads, outputs):
    weight = total(grads)
    return [g - exp(y) * weight for g, y in zip(grads, outputs, strict=True)]


def masked(x):
    return aten._masked_softmax(x, torch.zeros_like(x, dtype=torch.bool), 1, 2)


FORWARD = [
    ("_softmax", lambda x: torch.softmax(x, -1), softmax),
    ("_log_softmax", lambda x: torch.log_softmax(x, -1), log_softmax),
    ("_safe_softmax", lambda x: aten._safe_softmax(x, -1), safe_softmax),
    ("_sparse_softmax", lambda x: torch.sparse.softmax(x.to_sparse(), 1).to_dense(), softmax),
    ("_sparse_log_softmax", lambda x: torch.sparse.log_softmax(x.to_sparse(), 1).to_dense(), log_softmax),
    ("_masked_softmax", masked, softmax),
]


@pytest.mark.parametrize(("name", "run", "define"), FORWARD, ids=[name for name, _, _ in FORWARD])
def test_a_softmax_costs_what_its_definition_computes(name, run, define):
    x, result, tally = torch.randn(3, 5, dtype=F64), [], Tally()
    cost = entry(f"aten.{name}", lambda: result.append(run(x)))
    assert matches([define(row) for row in tally.numbers(x)], result[0])
    assert counts(cost) == tally.counts


BACKWARD = [
    ("_softmax_backward_data", torch.softmax, of_softmax),
    ("_log_softmax_backward_data", torch.log_softmax, of_log_softmax),
]


@pytest.mark.parametrize(("name", "forward", "define"), BACKWARD, ids=[name for name, _, _ in BACKWARD])
def test_a_gradient_costs_what_its_definition_computes(name, forward, define):
    grad, output, result, tally = torch.randn(3, 5, dtype=F64), forward(torch.randn(3, 5, dtype=F64), -1), [], Tally()
    cost = entry(f"aten.{name}", lambda: result.append(getattr(aten, name)(grad, output, -1, F64)))
    expected = [define(*rows) for rows in zip(tally.numbers(grad), tally.numbers(output), strict=True)]
    assert matches(expected, result[0])
    assert counts(cost) == tally.counts


def test_the_gradient_of_a_masked_softmax_costs_that_of_a_softmax():
    grad, output, result, tally = torch.randn(3, 5), torch.softmax(torch.randn(3, 5), -1), [], Tally()
    mask = torch.zeros(3, 5, dtype=torch.bool)
    run = lambda: result.append(aten._masked_softmax_backward(grad, output, mask, 1))
    cost = entry("aten._masked_softmax_backward", run)
    [of_softmax(*rows) for rows in zip(tally.numbers(grad), tally.numbers(output), strict=True)]
    assert counts(cost) == tally.counts


def test_a_masked_softmax_without_a_dimension_runs_along_the_last():
    x, mask = torch.randn(2, 4, 5), torch.zeros(2, 4, 5, dtype=torch.bool)
    run = lambda dim: entry("aten._masked_softmax", lambda: aten._masked_softmax(x, mask, dim, 2))
    back = lambda dim: entry(
        "aten._masked_softmax_backward", lambda: aten._masked_softmax_backward(x, torch.softmax(x, -1), mask, dim)
    )
    assert counts(run(None)) == counts(run(2)) != counts(run(1))
    assert counts(back(None)) == counts(back(2)) != counts(back(1))


@pytest.mark.parametrize(("dim", "rows"), [(0, 20), (1, 15), (2, 12), (-1, 12), (-3, 20)])
def test_the_rows_lie_along_the_dimension(dim, rows):
    """2·N + 2·(N − R) FLOPs and N exp, N = 60."""
    cost = entry("aten._softmax", lambda: torch.softmax(torch.randn(3, 4, 5), dim))
    assert counts(cost) == (4 * 60 - 2 * rows, 60)


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 0)])
def test_what_has_no_elements_or_no_dimensions_is_counted(shape):
    count = math.prod(shape)
    cost = entry("aten._softmax", lambda: torch.softmax(torch.randn(shape), -1))
    assert counts(cost) == (2 * count, count) if not shape else (0, 0)


def test_a_row_at_minus_infinity_is_computed_like_any_other():
    x = torch.full((2, 4), -math.inf)
    cost = entry("aten._safe_softmax", lambda: aten._safe_softmax(x, -1))
    assert counts(cost) == (6 * 8 - 3 * 2, 8)


@pytest.mark.parametrize(("dim", "rows"), [(1, 6 + 6), (2, 2 + 4), (-1, 2 + 4)])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_softmax_counts_the_rows_of_its_components(dim, rows):
    x = torch.nested.nested_tensor([torch.rand(2, 6), torch.rand(4, 6)])
    cost = entry("aten._softmax", lambda: aten._softmax(x, dim, False))
    assert counts(cost) == (4 * 36 - 2 * rows, 36)
