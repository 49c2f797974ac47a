"""Direct methods of linear algebra, each from the textbook algorithm on counting numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from formulas.scalar_operations import Tally, absolute, counts, entry, log, matches, sqrt, total, where

import profiler
from profiler.tally.tally import cost_record

aten = torch.ops.aten
N, M, K = 5, 7, 3


def matrix(*shape):
    return torch.rand(*shape, dtype=torch.float64)


def diagonally_heavy(*shape):
    """Make a matrix whose elimination never exchanges rows."""
    x = matrix(*shape)
    x.diagonal(dim1=-2, dim2=-1).add_(10)
    return x


def cholesky(a):
    n = len(a)
    lower = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = a[i][j]
            for k in range(j):
                rest = rest - lower[i][k] * lower[j][k]
            lower[i][j] = sqrt(rest) if i == j else rest / lower[j][j]
    return lower


def eliminate(a, pivot):
    """Decompose in place, with the largest of a column found first."""
    m, n = len(a), len(a[0])
    for j in range(min(m, n)):
        if pivot:
            largest = absolute_of(a[j][j])
            for i in range(j + 1, m):
                assert not largest < abs(a[i][j].value)  # one compare of values, whose signs cost nothing
        for i in range(j + 1, m):
            a[i][j] = a[i][j] / a[j][j]
            for k in range(j + 1, n):
                a[i][k] = a[i][k] - a[i][j] * a[j][k]
    return a


def absolute_of(x):
    return type(x)(abs(x.value), x.tally)


def substitute(a, b, unit, *, upper):
    """Solve a triangular system for one right-hand side."""
    n = len(b)
    order = range(n - 1, -1, -1) if upper else range(n)
    x = list(b)
    for i in order:
        for j in range(i + 1, n) if upper else range(i):
            x[i] = x[i] - a[i][j] * x[j]
        x[i] = x[i] if unit else x[i] / a[i][i]
    return x


def solve(a, columns):
    """Eliminate, and substitute forwards and backwards."""
    a = eliminate(a, pivot=True)
    return [substitute(a, substitute(a, b, True, upper=False), False, upper=True) for b in columns]


def reflections(a):
    """Make R in place, with LAPACK's choice of sign; give the vectors, which begin with 1, and the factors."""
    m, n = len(a), len(a[0])
    made = []
    for j in range(min(m, n)):
        x = [a[i][j] for i in range(j, m)]
        if len(x) == 1:
            made.append(([1.0], 0.0))
            continue
        size = sqrt(total(e * e for e in x))
        beta = where(x[0] < 0, size, -size)
        tau = (beta - x[0]) / beta
        divisor = x[0] - beta
        v = [1.0, *(e / divisor for e in x[1:])]
        made.append((v, tau))
        a[j][j] = beta
        for k in range(j + 1, n):
            reflect(a, j, k, v, tau)
    return made


def reflect(a, j, k, v, tau):
    """Apply ``1 − τ·v·vᵀ`` to the rows from j on of column k."""
    weight = total([a[j][k], *(v[i] * a[j + i][k] for i in range(1, len(v)))]) * tau
    a[j][k] = a[j][k] - weight
    for i in range(1, len(v)):
        a[j + i][k] = a[j + i][k] - v[i] * weight


def multiply_out(made, m, n, tally):
    """Make Q from the last reflection to the first; what is still the identity is not multiplied."""
    number = tally.numbers(torch.eye(m, n, dtype=torch.float64))
    for j, (v, tau) in reversed(list(enumerate(made))):
        for k in range(j + 1, n):
            reflect(number, j, k, v, as_number(tau, tally))
        factor = as_number(tau, tally)
        minus = -factor
        number[j][j] = 1 - factor
        for i in range(1, len(v)):
            number[j + i][j] = minus * v[i]
    return number


def as_number(x, tally):
    return x if hasattr(x, "tally") else tally.numbers(torch.tensor(x))


def test_a_cholesky_decomposition_costs_what_the_algorithm_computes():
    x = matrix(N, N)
    a, tally, result = x @ x.T + 1 * torch.eye(N, dtype=torch.float64), Tally(), []
    measured = entry("aten.linalg_cholesky_ex", lambda: result.append(torch.linalg.cholesky(a)))
    assert matches(cholesky(tally.numbers(a)), result[0])
    assert counts(measured) == tally.counts


@pytest.mark.parametrize("shape", [(N, N), (M, N), (N, M), (1, 1), (1, 4)])
@pytest.mark.parametrize("pivot", [True, False])
def test_an_elimination_costs_what_the_algorithm_computes(shape, pivot):
    a, tally = diagonally_heavy(*shape), Tally()
    record = entry("aten.linalg_lu_factor_ex", lambda: torch.linalg.lu_factor(a)).record
    made = eliminate(tally.numbers(a), pivot)
    assert matches(made, torch.linalg.lu_factor(a).LU)
    if not pivot:  # a decomposition that this device does not have
        record = replace(record, arguments=tuple((n, False if n == "pivot" else v) for n, v in record.arguments))
        assert counts(cost_record(record)) == tally.counts
    else:
        assert counts(entry("aten.linalg_lu_factor_ex", lambda: torch.linalg.lu_factor(a))) == tally.counts
        assert counts(entry("aten.linalg_lu", lambda: torch.linalg.lu(a))) == tally.counts


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("upper", [True, False])
def test_a_triangular_system_costs_what_substitution_computes(unit, upper):
    a, b, tally, result = diagonally_heavy(N, N), matrix(N, K), Tally(), []
    a = a.triu() if upper else a.tril()
    run = lambda: result.append(torch.linalg.solve_triangular(a, b, upper=upper, unitriangular=unit))
    measured = entry("aten.linalg_solve_triangular", run)
    numbers = tally.numbers(a)
    made = [substitute(numbers, column, unit, upper=upper) for column in tally.numbers(b.T)]
    assert matches(made, result[0].T)
    assert counts(measured) == tally.counts


def test_a_system_costs_an_elimination_and_two_substitutions_a_column():
    a, b, tally, result = diagonally_heavy(N, N), matrix(N, K), Tally(), []
    measured = entry("aten._linalg_solve_ex", lambda: result.append(torch.linalg.solve(a, b)))
    assert matches(solve(tally.numbers(a), tally.numbers(b.T)), result[0].T)
    assert counts(measured) == tally.counts


def test_a_system_that_was_eliminated_costs_two_substitutions_a_column():
    a, b, tally = diagonally_heavy(N, N), matrix(N, K), Tally()
    factors = torch.linalg.lu_factor(a)
    measured = entry("aten.linalg_lu_solve", lambda: torch.linalg.lu_solve(*factors, b))
    numbers = tally.numbers(factors.LU)
    for column in tally.numbers(b.T):
        substitute(numbers, substitute(numbers, column, True, upper=False), False, upper=True)
    assert counts(measured) == tally.counts


def test_an_inverse_costs_the_system_of_the_identity():
    a, tally, result = diagonally_heavy(N, N), Tally(), []
    measured = entry("aten.linalg_inv_ex", lambda: result.append(torch.linalg.inv(a)))
    assert matches(solve(tally.numbers(a), tally.numbers(torch.eye(N))), result[0].T)
    assert counts(measured) == tally.counts


def test_a_cholesky_solution_costs_two_substitutions_a_column():
    a, b, tally, result = diagonally_heavy(N, N).tril(), matrix(N, K), Tally(), []
    measured = entry("aten.cholesky_solve", lambda: result.append(torch.cholesky_solve(b, a)))
    lower, upper = tally.numbers(a), tally.numbers(a.T)
    made = [
        substitute(upper, substitute(lower, column, False, upper=False), False, upper=True)
        for column in tally.numbers(b.T)
    ]
    assert matches(made, result[0].T)
    assert counts(measured) == tally.counts
    of_identity = counts(entry("aten.cholesky_solve", lambda: torch.cholesky_solve(torch.eye(N).double(), a)))
    assert counts(entry("aten.cholesky_inverse", lambda: torch.cholesky_inverse(a))) == of_identity


def test_a_determinant_costs_an_elimination_and_the_product_of_the_diagonal():
    a, tally, result = diagonally_heavy(N, N), Tally(), []
    measured = entry("aten._linalg_det", lambda: result.append(torch.linalg.det(a)))
    made = eliminate(tally.numbers(a), pivot=True)
    sign = as_number(1.0, tally)
    assert matches(total([sign, *(made[i][i] for i in range(N))], lambda x, y: x * y), result[0])
    assert counts(measured) == tally.counts


def test_a_logarithm_of_a_determinant_costs_a_logarithm_a_row():
    a, tally, result = diagonally_heavy(N, N), Tally(), []
    measured = entry("aten._linalg_slogdet", lambda: result.extend(torch.linalg.slogdet(a)))
    made = eliminate(tally.numbers(a), pivot=True)
    diagonal = [made[i][i] for i in range(N)]
    assert matches(total(log(absolute(x)) for x in diagonal), result[1])
    signs = [as_number(where(x > 0, 1.0, -1.0), tally) for x in diagonal]
    assert matches(total([as_number(1.0, tally), *signs], lambda x, y: x * y), result[0])
    assert counts(measured) == tally.counts


@pytest.mark.parametrize("shape", [(N, N), (M, N), (N, M), (2, 1), (1, 1)])
@pytest.mark.parametrize("mode", ["reduced", "complete", "r"])
def test_a_qr_decomposition_costs_what_reflections_compute(shape, mode):
    a, tally, result = matrix(*shape), Tally(), []
    measured = entry("aten.linalg_qr", lambda: result.extend(torch.linalg.qr(a, mode)))
    numbers = tally.numbers(a)
    made = reflections(numbers)
    rank = min(shape)
    triangle = [[x if k >= i else 0.0 for k, x in enumerate(row)] for i, row in enumerate(numbers[:rank])]
    assert matches(triangle, result[1][:rank])
    if mode != "r":
        columns = shape[0] if mode == "complete" else rank
        assert matches(multiply_out(made, shape[0], columns, tally), result[0])
    assert counts(measured) == tally.counts


def test_reflections_are_made_multiplied_out_and_applied_at_the_cost_of_the_algorithm():
    a, b, result = matrix(M, N), matrix(M, K), []
    making, out, applying = Tally(), Tally(), Tally()
    measured = entry("aten.geqrf", lambda: result.extend(torch.geqrf(a)))
    made = reflections(making.numbers(a))
    assert counts(measured) == making.counts
    plain = [([getattr(e, "value", e) for e in v], tau.value) for v, tau in made]
    counted = [([as_number(e, out) for e in v], as_number(tau, out)) for v, tau in plain]
    measured = entry("aten.linalg_householder_product", lambda: torch.linalg.householder_product(*result))
    assert matches(multiply_out(counted, M, N, out), torch.linalg.householder_product(*result))
    assert counts(measured) == out.counts
    numbers = applying.numbers(b)
    for j, (v, tau) in reversed(list(enumerate(plain))):
        for k in range(K):
            reflect(numbers, j, k, [as_number(e, applying) for e in v], tau)
    measured = entry("aten.ormqr", lambda: torch.ormqr(*result, b))
    assert matches(numbers, torch.ormqr(*result, b))
    assert counts(measured) == applying.counts
    assert counts(entry("aten.ormqr", lambda: torch.ormqr(*result, b.T.contiguous(), left=False))) == applying.counts


def test_a_cross_product_takes_two_products_and_a_difference_a_component():
    measured = entry("aten.linalg_cross", lambda: torch.linalg.cross(torch.rand(4, 3), torch.rand(1, 3)))
    assert counts(measured) == (3 * 12, 0)


@pytest.mark.parametrize(
    "run",
    [
        torch.linalg.cholesky_ex, torch.linalg.lu_factor, torch.linalg.inv, torch.linalg.det, torch.linalg.qr,
        torch.linalg.slogdet, lambda x: torch.linalg.solve(x, x),
    ],
)  # fmt: skip
def test_a_stack_costs_each_of_its_matrices(run):
    def cost(x):
        with profiler.profile() as p:
            run(x)
        return p.totals.other_flops, p.totals.transcendentals

    one, stack = cost(diagonally_heavy(N, N)), cost(diagonally_heavy(2, 3, N, N))
    assert stack == (6 * one[0], 6 * one[1])


@pytest.mark.parametrize(
    "run", [torch.linalg.svd, torch.linalg.eigh, torch.linalg.eigvals, torch.matrix_exp, torch.linalg.pinv]
)
def test_a_method_whose_steps_depend_on_the_values_is_listed_as_uncounted(run):
    with profiler.profile() as p:
        run(diagonally_heavy(N, N))
    assert not p.is_complete


def test_a_batch_of_batches_of_triangular_systems_costs_each_of_them():
    def flops(*batch):
        a, b = torch.eye(4).expand(*batch, 4, 4), torch.ones(*batch, 4, 5)
        return entry(
            "aten.linalg_solve_triangular", lambda: torch.linalg.solve_triangular(a, b, upper=True)
        ).other_flops

    assert flops() > 0
    assert flops(2, 3) == 6 * flops()
