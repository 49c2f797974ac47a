"""Products with sparse operands: one MAC for each stored element and each row or column of the other operand.

Legend: n stored elements, those of whole blocks in blocked layouts. ``mm``, ``addmm`` and the like arrive under their
common names and have their formulas in ``matmul.py``. Bytes are those of the stored values; indices are not counted.
Of two sparse operands the work depends on where their elements lie, which shapes do not tell: such a product is left
uncounted. Of a semi-structured operand two of four elements are stored.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from math import prod

from profiler.formulas.element_counts import numel
from profiler.formulas.epilogues import Factor, activated, biased, weighted
from profiler.formulas.families.matmul import products
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec

#: Reductions of ``torch.sparse.mm`` that sum; the others compare.
_SUMS = frozenset({"sum", "mean"})


@formula("aten::_sparse_addmm", "aten::sspaddmm")
def sparse_addmm(mat1: TensorSpec, mat2: TensorSpec, beta: Factor, alpha: Factor, out: TensorSpec) -> Cost:
    """Count ``β·self + α·(M, K) @ (K, N)`` with a sparse matrix on the left, to a dense or sparse sum."""
    return weighted(products(mat1, mat2), numel(out), beta, alpha, mat1, mat2)


@formula("aten::hspmm")
def hspmm(mat1: TensorSpec, mat2: TensorSpec) -> Cost:
    """Count ``(M, K) @ (K, N)`` with a sparse matrix on the left, to rows of which some are stored."""
    return Cost(macs=products(mat1, mat2))


@formula("aten::sparse_sampled_addmm")
def sampled_addmm(self: TensorSpec, mat1: Shape, beta: Factor, alpha: Factor) -> Cost:
    """Count ``β·self + α·(M, K) @ (K, N)`` at the n places of ``self`` alone: n·K MACs."""
    sampled = weighted(self.elements * mat1[-1], self.elements, beta, alpha)
    return Cost(macs=sampled.macs, other_flops=sampled.other_flops)


@formula("aten::_sparse_mm_reduce_impl")
def sparse_mm_reduce(self: TensorSpec, other: Shape, reduce: str, out: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` with sums, or with the largest or smallest product of each row: n·N in any case.

    A mean divides each result; an extreme takes a multiply and a compare in place of a MAC.
    """
    pairs = self.elements * other[-1]
    if reduce in _SUMS:
        return Cost(macs=pairs, other_flops=prod(out) * (reduce == "mean"))
    return Cost(other_flops=2 * pairs)


@formula("aten::_cslt_sparse_mm")
def cslt_sparse_mm(dense_B: Shape, bias: Shape | None, alpha: Shape | None, out: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` with a compressed matrix on the left, of half as many MACs."""
    return biased(prod(out) * dense_B[0] // 2, prod(out), bias, alpha)


@formula("aten::_sparse_semi_structured_mm")
def semi_structured_mm(mat1: Shape, mat2: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` of which the left is given as its stored ``(M, K/2)``."""
    return Cost(macs=prod(mat1) * mat2[-1])


@formula("aten::_sparse_semi_structured_addmm")
def semi_structured_addmm(mat1: Shape, mat2: Shape, beta: Factor, alpha: Factor, out: Shape) -> Cost:
    """Count the same with ``β·input`` added to α times the product."""
    return weighted(prod(mat1) * mat2[-1], prod(out), beta, alpha)


@formula("aten::_sparse_semi_structured_linear")
def semi_structured_linear(input: Shape, weight: Shape, bias: Shape | None, activation: str | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias`` of which the weight is given as its stored ``(N, K/2)``, and an activation."""
    return activated(biased(prod(input[:-1]) * prod(weight), prod(out), bias), prod(out), activation or "none")
