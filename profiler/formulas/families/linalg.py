# ruff: noqa: N803 - the schemas name their matrices in capitals
"""Matrix decompositions and linear solvers, for batches of matrices.

Direct methods are counted exactly, step by step of the textbook algorithm; blocked kernels do the same operations in
another order. A square root is one transcendental. All other operations are FLOPs, and none are MACs. Methods whose
number of steps depends on the values (eigenvalues, singular values and what uses them, the matrix exponential, pivoted
LDL) have no formula, and are reported as uncounted.

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
    """Count ``A = L·Lᵀ``: n roots, n(n − 1)/2 divides, (n³ − n)/6 multiplies and as many subtracts."""
    n, batch = self[-1], math.prod(self[:-2])
    return Cost(other_flops=batch * (n * (n - 1) // 2 + (n**3 - n) // 3), transcendentals=batch * n)


@formula("aten::cholesky_solve", "aten::_cholesky_solve_helper")
def cholesky_solve(out: Shape) -> Cost:
    """Count two triangular solves per column."""
    return Cost(other_flops=2 * _columns(out, out[-2]) * _substitution(out[-2]))


@formula("aten::cholesky_inverse")
def cholesky_inverse(self: Shape) -> Cost:
    """Count two triangular solves per column of the identity, whose zeros count too."""
    return cholesky_solve(self)


@formula("aten::linalg_lu_factor_ex", "aten::linalg_lu")
def lu_factor(A: Shape, pivot: bool) -> Cost:
    """Count the LU decomposition ``P·A = L·U``."""
    return Cost(other_flops=math.prod(A[:-2]) * _lu(A[-2], A[-1], pivot=pivot))


@formula("aten::lu_unpack")
def lu_unpack() -> Cost:
    """Count the bytes of copying the factors into separate matrices."""
    return Cost()


@formula("aten::linalg_lu_solve")
def lu_solve(LU: Shape, out: Shape) -> Cost:
    """Count a unit triangular and a triangular solve per column."""
    n = LU[-1]
    return Cost(other_flops=_columns(out, n) * (_substitution(n, unit=True) + _substitution(n)))


@formula("aten::_linalg_solve_ex")
def solve(A: Shape, out: Shape) -> Cost:
    """Count an LU decomposition and two triangular solves per column."""
    n = A[-1]
    factors = math.prod(A[:-2]) * _lu(n, n)
    return Cost(other_flops=factors + _columns(out, n) * (_substitution(n, unit=True) + _substitution(n)))


@formula("aten::linalg_inv_ex")
def inverse(A: Shape) -> Cost:
    """Count an LU decomposition and two triangular solves per column of the identity, whose zeros count too."""
    return solve(A, A)


@formula("aten::linalg_solve_triangular")
def solve_triangular(self: Shape, unitriangular: bool, out: Shape) -> Cost:
    """Count a triangular solve per column, or per row if the matrix is on the right."""
    n = self[-1]
    return Cost(other_flops=_columns(out, n) * _substitution(n, unit=unitriangular))


@formula("aten::triangular_solve")
def triangular_solve(A: Shape, unitriangular: bool, out: Shape) -> Cost:
    """Count a triangular solve per column."""
    return solve_triangular(A, unitriangular, out)


@formula("aten::_linalg_det")
def det(A: Shape) -> Cost:
    """Count an LU decomposition, and n multiplies for the diagonal and the sign of the permutation."""
    n, batch = A[-1], math.prod(A[:-2])
    return Cost(other_flops=batch * (_lu(n, n) + n))


@formula("aten::_linalg_slogdet")
def slogdet(A: Shape) -> Cost:
    """Count an LU decomposition; n signs and n multiplies; n absolute values, n logarithms and n − 1 adds."""
    n, batch = A[-1], math.prod(A[:-2])
    return Cost(other_flops=batch * (_lu(n, n) + 3 * n + reduction_ops(n, 1)), transcendentals=batch * n)


@formula("aten::geqrf")
def geqrf(self: Shape) -> Cost:
    """Count the R of a QR decomposition, and its Householder reflections."""
    batch = math.prod(self[:-2])
    flops, roots = _householder(self[-2], self[-1])
    return Cost(other_flops=batch * flops, transcendentals=batch * roots)


@formula("aten::linalg_householder_product")
def householder_product(input: Shape, tau: Shape) -> Cost:
    """Count multiplying k reflections, from the last to the first; each is applied to the nonzero part only."""
    return Cost(other_flops=math.prod(input[:-2]) * _accumulation(input[-2], input[-1], tau[-1]))


@formula("aten::ormqr")
def ormqr(input2: Shape, input3: Shape, left: bool) -> Cost:
    """Count applying k reflections to each column of a matrix, or from the right to each row."""
    order, count = (input3[-2], input3[-1]) if left else (input3[-1], input3[-2])
    return Cost(other_flops=math.prod(input3[:-2]) * count * sum(_reflection(order - j) for j in range(input2[-1])))


@formula("aten::linalg_qr")
def qr(A: Shape, mode: str) -> Cost:
    """Count R, and Q from the reflections: ``(m, k)`` in mode "reduced", ``(m, m)`` in "complete", none in "r"."""
    m, n = A[-2:]
    batch, k = math.prod(A[:-2]), min(m, n)
    flops, roots = _householder(m, n)
    if mode != "r":
        flops += _accumulation(m, m if mode == "complete" else k, k)
    return Cost(other_flops=batch * flops, transcendentals=batch * roots)


@formula("aten::linalg_cross")
def cross(out: TensorSpec) -> Cost:
    """Count ``aᵢ·bⱼ − aⱼ·bᵢ`` per component: two multiplies and a subtract."""
    return Cost(other_flops=3 * numel(out))


def _columns(shape: Shape, n: int) -> int:
    """Count the vectors of length n in a batch of right-hand sides."""
    return math.prod(shape) // max(n, 1)


def _substitution(n: int, *, unit: bool = False) -> int:
    """Count one triangular solve: n(n − 1)/2 multiplies and subtracts each, and n divides unless the diagonal is 1."""
    return n * (n - 1) + (0 if unit else n)


def _lu(m: int, n: int, *, pivot: bool = True) -> int:
    """Count the elimination of k = min(m, n) columns, each with r = m − j elements below the diagonal.

    A step takes r compares for the pivot, r divides, and r·(n − j) multiplies and subtracts each.
    """
    steps = range(1, min(m, n) + 1)
    return sum((m - j) * (2 * (n - j) + (2 if pivot else 1)) for j in steps)


def _householder(m: int, n: int) -> tuple[int, int]:
    """Return the FLOPs and roots to compute and apply min(m, n) reflections, each of length l = m − j.

    ``β = ∓√Σx²`` takes l multiplies, l − 1 adds, a root, and a compare and a negation for the sign. ``τ = (β − α)/β``
    takes 2 FLOPs, and the vector ``x / (α − β)`` 1 + (l − 1). A reflection of length 1 is the identity.
    """
    lengths = {j: m - j for j in range(min(m, n)) if m - j > 1}
    return sum(3 * size + 3 + (n - j - 1) * _reflection(size) for j, size in lengths.items()), len(lengths)


def _reflection(size: int) -> int:
    """Count ``a − v·τ·(vᵀa)`` for one column of length l, where the first element of v is 1.

    ``vᵀa`` takes l − 1 multiplies and l − 1 adds, τ one multiply, and the update l − 1 multiplies and l subtracts.
    """
    return 4 * size - 2


def _accumulation(m: int, n: int, k: int) -> int:
    """Count Q from k reflections: each is applied to the columns after its own, which becomes ``e − τ·v``."""
    return sum((n - j - 1) * _reflection(m - j) + (m - j) + 1 for j in range(k))
