# ruff: noqa: N803 - the schemas name their matrices in capitals
"""Decompositions and solvers, for stacks of matrices.

Counted are the direct methods, as exact sums over the steps of the textbook algorithm; kernels that work in blocks do
the same operations in another order. A square root is one transcendental, all else FLOPs, none MACs. Methods whose
number of steps depends on the values (eigenvalues, singular values and what is built on them, the matrix exponential,
pivoted LDL) have no formula, so that they are listed as uncounted.

Source: Golub, Van Loan, Matrix Computations, 4th edition: 3.1 (triangular systems), 3.2 and 3.4 (LU with partial
pivoting), 4.2 (Cholesky), 5.1 and 5.2 (Householder reflections and QR).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Shape


@formula("aten::linalg_cholesky_ex", "aten::cholesky")
def cholesky(self: Shape) -> Cost:
    """Factor ``A = L·Lᵀ``: n roots, n(n − 1)/2 quotients, (n³ − n)/6 products and as many differences."""
    n, stack = self[-1], math.prod(self[:-2])
    return Cost(other_flops=stack * (n * (n - 1) // 2 + (n**3 - n) // 3), transcendentals=stack * n)


@formula("aten::cholesky_solve", "aten::_cholesky_solve_helper")
def cholesky_solve(out: Shape) -> Cost:
    """Solve two triangular systems for each column."""
    return Cost(other_flops=2 * _columns(out, out[-2]) * _substitution(out[-2]))


@formula("aten::cholesky_inverse")
def cholesky_inverse(self: Shape) -> Cost:
    """Solve two triangular systems for each column of the identity, zeros and all."""
    return cholesky_solve(self)


@formula("aten::linalg_lu_factor_ex", "aten::linalg_lu")
def lu_factor(A: Shape, pivot: bool) -> Cost:
    """Factor ``P·A = L·U``; see ``_lu``."""
    return Cost(other_flops=math.prod(A[:-2]) * _lu(A[-2], A[-1], pivot=pivot))


@formula("aten::lu_unpack")
def lu_unpack() -> Cost:
    """Move the factors into matrices of their own."""
    return Cost()


@formula("aten::linalg_lu_solve")
def lu_solve(LU: Shape, out: Shape) -> Cost:
    """Solve a unit triangular and a triangular system for each column."""
    n = LU[-1]
    return Cost(other_flops=_columns(out, n) * (_substitution(n, unit=True) + _substitution(n)))


@formula("aten::_linalg_solve_ex")
def solve(A: Shape, out: Shape) -> Cost:
    """Factor, and solve for each column."""
    n = A[-1]
    factors = math.prod(A[:-2]) * _lu(n, n)
    return Cost(other_flops=factors + _columns(out, n) * (_substitution(n, unit=True) + _substitution(n)))


@formula("aten::linalg_inv_ex")
def inverse(A: Shape) -> Cost:
    """Factor, and solve for each column of the identity, zeros and all."""
    return solve(A, A)


@formula("aten::linalg_solve_triangular")
def solve_triangular(self: Shape, unitriangular: bool, out: Shape) -> Cost:
    """Solve a triangular system for each column (for each row, where the matrix is on the right)."""
    n = self[-1]
    return Cost(other_flops=_columns(out, n) * _substitution(n, unit=unitriangular))


@formula("aten::triangular_solve")
def triangular_solve(A: Shape, unitriangular: bool, out: Shape) -> Cost:
    """Solve a triangular system for each column."""
    return solve_triangular(A, unitriangular, out)


@formula("aten::_linalg_det")
def det(A: Shape) -> Cost:
    """Factor, and multiply the diagonal and the sign of the permutation: n products."""
    n, stack = A[-1], math.prod(A[:-2])
    return Cost(other_flops=stack * (_lu(n, n) + n))


@formula("aten::_linalg_slogdet")
def slogdet(A: Shape) -> Cost:
    """Factor; the sign takes n signs and n products, the logarithm n absolute values, n log and n − 1 sums."""
    n, stack = A[-1], math.prod(A[:-2])
    return Cost(other_flops=stack * (_lu(n, n) + 3 * n + reduction_ops(n, 1)), transcendentals=stack * n)


@formula("aten::geqrf")
def geqrf(self: Shape) -> Cost:
    """Make the R of a QR decomposition, and its reflections."""
    stack = math.prod(self[:-2])
    flops, roots = _householder(self[-2], self[-1])
    return Cost(other_flops=stack * flops, transcendentals=stack * roots)


@formula("aten::linalg_householder_product")
def householder_product(input: Shape, tau: Shape) -> Cost:
    """Multiply k reflections out, from the last to the first, where each meets only what is not yet zero."""
    return Cost(other_flops=math.prod(input[:-2]) * _accumulation(input[-2], input[-1], tau[-1]))


@formula("aten::ormqr")
def ormqr(input2: Shape, input3: Shape, left: bool) -> Cost:
    """Apply k reflections to a matrix: to each of its columns, or from the right to each of its rows."""
    order, count = (input3[-2], input3[-1]) if left else (input3[-1], input3[-2])
    return Cost(other_flops=math.prod(input3[:-2]) * count * sum(_reflection(order - j) for j in range(input2[-1])))


@formula("aten::linalg_qr")
def qr(A: Shape, mode: str) -> Cost:
    """Decompose, and multiply the reflections out to Q: (m, k) if reduced, (m, m) if complete, not at all for R."""
    m, n = A[-2:]
    stack, k = math.prod(A[:-2]), min(m, n)
    flops, roots = _householder(m, n)
    if mode != "r":
        flops += _accumulation(m, m if mode == "complete" else k, k)
    return Cost(other_flops=stack * flops, transcendentals=stack * roots)


@formula("aten::linalg_cross")
def cross(out: TensorSpec) -> Cost:
    """Count ``aᵢ·bⱼ − aⱼ·bᵢ`` for each component: two products, a difference."""
    return Cost(other_flops=3 * numel(out))


def _columns(shape: Shape, n: int) -> int:
    """Count the vectors of length n in a stack of right-hand sides."""
    return math.prod(shape) // max(n, 1)


def _substitution(n: int, *, unit: bool = False) -> int:
    """Count one triangular system: n(n − 1)/2 products and as many differences; n quotients but for a unit diagonal."""
    return n * (n - 1) + (0 if unit else n)


def _lu(m: int, n: int, *, pivot: bool = True) -> int:
    """Eliminate k = min(m, n) columns: below each are r = m − j elements.

    Each step compares r times for the pivot, makes r quotients, and r·(n − j) products and differences.
    """
    steps = range(1, min(m, n) + 1)
    return sum((m - j) * (2 * (n - j) + (2 if pivot else 1)) for j in steps)


def _householder(m: int, n: int) -> tuple[int, int]:
    """Count the FLOPs and the roots of making and applying min(m, n) reflections, of length l = m − j each.

    ``β = ∓√Σx²`` takes l products, l − 1 sums, a root, and for the sign a compare and a negation; ``τ = (β − α)/β``
    takes two, and the vector ``x / (α − β)`` one and l − 1. A reflection of length 1 is the identity.
    """
    lengths = {j: m - j for j in range(min(m, n)) if m - j > 1}
    return sum(3 * size + 3 + (n - j - 1) * _reflection(size) for j, size in lengths.items()), len(lengths)


def _reflection(size: int) -> int:
    """Count ``a − v·τ·(vᵀa)`` for one column, where v begins with 1.

    The product vᵀa takes l − 1 products and l − 1 sums, τ one product, and the update l − 1 products, l differences.
    """
    return 4 * size - 2


def _accumulation(m: int, n: int, k: int) -> int:
    """Count Q from k reflections: each is applied to the columns after its own, which itself becomes ``e − τ·v``."""
    return sum((n - j - 1) * _reflection(m - j) + (m - j) + 1 for j in range(k))
