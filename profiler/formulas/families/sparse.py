"""Sparse matrix products: one MAC per stored element and per row or column of the other operand.

Legend: n stored elements; a blocked layout stores whole blocks, a semi-structured (2:4) one two of four elements.

Sparse operands of ``mm``, ``addmm`` and the like are handled in ``matmul.py``. Bytes are those of the stored values,
without indices. A product of two sparse operands is uncounted: its work depends on the patterns, not on the shapes.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from math import prod

from profiler.formulas.element_counts import numel
from profiler.formulas.epilogues import weighted_sum, with_activation, with_bias
from profiler.formulas.families.matmul import products
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Number, Shape, TensorSpec

#: Reductions of ``torch.sparse.mm`` that are sums; the others take a minimum or maximum.
_SUMS = frozenset({"sum", "mean"})


@formula("aten::_sparse_addmm", "aten::sspaddmm")
def sparse_addmm(mat1: TensorSpec, mat2: TensorSpec, beta: Number, alpha: Number, out: TensorSpec) -> Cost:
    """Count ``β·self + α·(M, K) @ (K, N)`` with a sparse left matrix; the sum is dense or sparse."""
    return weighted_sum(products(mat1, mat2), numel(out), beta, alpha, mat1, mat2)


@formula("aten::hspmm")
def hspmm(mat1: TensorSpec, mat2: TensorSpec) -> Cost:
    """Count ``(M, K) @ (K, N)`` with a sparse left matrix and a hybrid sparse result, which stores whole rows."""
    return Cost(macs=products(mat1, mat2))


@formula("aten::sparse_sampled_addmm")
def sampled_addmm(self: TensorSpec, mat1: Shape, beta: Number, alpha: Number) -> Cost:
    """Count ``β·self + α·(M, K) @ (K, N)`` at only the n stored positions of *self*: n·K MACs."""
    sampled = weighted_sum(self.elements * mat1[-1], self.elements, beta, alpha)
    return Cost(macs=sampled.macs, other_flops=sampled.other_flops)


@formula("aten::_sparse_mm_reduce_impl")
def sparse_mm_reduce(self: TensorSpec, other: Shape, reduce: str, out: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` with the sum replaced by *reduce*: n·N MACs for a sum.

    A mean adds one divide per result; a minimum or maximum takes a multiply and a compare in place of each MAC.
    """
    pairs = self.elements * other[-1]
    if reduce in _SUMS:
        return Cost(macs=pairs, other_flops=prod(out) * (reduce == "mean"))
    return Cost(other_flops=2 * pairs)


@formula("aten::_cslt_sparse_mm")
def cslt_sparse_mm(dense_B: Shape, bias: Shape | None, alpha: Shape | None, out: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` with a compressed (2:4) left matrix: half the MACs of the dense product."""
    return with_bias(prod(out) * dense_B[0] // 2, prod(out), bias, alpha)


@formula("aten::_sparse_semi_structured_mm")
def semi_structured_mm(mat1: Shape, mat2: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` whose left matrix is passed as its stored elements, ``(M, K/2)``."""
    return Cost(macs=prod(mat1) * mat2[-1])


@formula("aten::_sparse_semi_structured_addmm")
def semi_structured_addmm(mat1: Shape, mat2: Shape, beta: Number, alpha: Number, out: Shape) -> Cost:
    """Count ``β·input + α·(M, K) @ (K, N)`` whose left matrix is passed as its stored elements, ``(M, K/2)``."""
    return weighted_sum(prod(mat1) * mat2[-1], prod(out), beta, alpha)


@formula("aten::_sparse_semi_structured_linear")
def semi_structured_linear(input: Shape, weight: Shape, bias: Shape | None, activation: str | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias`` and an activation; the weight is passed as stored, ``(N, K/2)``."""
    return with_activation(with_bias(prod(input[:-1]) * prod(weight), prod(out), bias), prod(out), activation or "none")
