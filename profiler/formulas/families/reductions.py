"""Reductions and scans of N elements to M results.

A reduction takes exactly N − M adds, multiplies, compares or logical operations. A scan takes one for every element but
the first of each row. Operations on each element before the reduction, or on each result after it, are added. The index
of a minimum or maximum takes no further compares.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from profiler.formulas.element_counts import numel, reduction_ops, rows
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Number, Shape


@formula(
    "aten::sum", "aten::prod", "aten::amax", "aten::amin", "aten::argmax", "aten::argmin", "aten::all", "aten::any",
    "aten::max.default", "aten::max.dim", "aten::max.dim_max", "aten::max.unary_out", "aten::max.names_dim",
    "aten::min.default", "aten::min.dim", "aten::min.dim_min", "aten::min.unary_out", "aten::min.names_dim",
    "aten::_is_all_true", "aten::_is_any_true", "aten::hash_tensor",
    "aten::_sparse_sum", "aten::_sparse_csr_sum", "aten::_sparse_csr_prod",
)  # fmt: skip
def reduction(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count N − M operations: adds, multiplies, compares or logical operations."""
    return Cost(other_flops=reduction_ops(numel(self), numel(out)))


@formula("aten::mean")
def mean(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count N − M adds and M divides."""
    return Cost(other_flops=reduction_ops(numel(self), numel(out)) + numel(out))


@formula("aten::aminmax", "aten::_aminmax")
def aminmax(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count N − M compares for the minimum and as many for the maximum."""
    return Cost(other_flops=2 * reduction_ops(numel(self), numel(out)))


@formula("aten::count_nonzero", "aten::nansum")
def test_and_add(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count one test (for zero, or NaN) per element, and N − M adds."""
    return Cost(other_flops=numel(self) + reduction_ops(numel(self), numel(out)))


@formula("aten::var", "aten::var_mean")
def var(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count ``Σ(x − x̄)² / (n − c)``: the mean N, differences N, squares N, their mean N. Returning the mean is free."""
    return Cost(other_flops=_variance(self, out))


@formula("aten::std", "aten::std_mean")
def std(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count a variance, and M square roots."""
    return Cost(other_flops=_variance(self, out), transcendentals=numel(out))


@formula("aten::logsumexp")
def logsumexp(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count ``m + log Σ exp(x − m)`` with the maximum m.

    That is: compares N − M, subtractions N, N exp, sum N − M, M log, M adds.
    """
    n, m = numel(self), numel(out)
    return Cost(other_flops=2 * reduction_ops(n, m) + n + m, transcendentals=n + m)


def norm_cost(n: int, m: int, p: Number) -> Cost:
    """Return the cost of M p-norms over N elements.

    p = 0 compares each element with zero; p = 1 and ±∞ take absolute values; p = 2 takes squares and M roots. Any other
    p takes a power per element and a root per result, and so does a p whose value is not kept.
    """
    if p in {0, 1, math.inf, -math.inf}:
        return Cost(other_flops=n + reduction_ops(n, m))
    if p == 2:  # noqa: PLR2004 - the Euclidean norm
        return Cost(other_flops=n + reduction_ops(n, m), transcendentals=m)
    return Cost(other_flops=n + reduction_ops(n, m), transcendentals=n + m)


@formula("aten::linalg_vector_norm")
def vector_norm(self: TensorSpec, ord: Number, out: TensorSpec) -> Cost:
    """Count ``(Σ|x|^p)^(1/p)``; see ``norm_cost``."""
    return norm_cost(numel(self), numel(out), ord)


@formula("aten::norm", "aten::native_norm")
def norm(self: TensorSpec, p: Number | None, out: TensorSpec) -> Cost:
    """Count a vector norm; without *p* it is the Euclidean norm."""
    return norm_cost(numel(self), numel(out), 2 if p is None else p)


@formula("aten::linalg__powsum")
def powsum(self: TensorSpec, ord: Number, out: TensorSpec) -> Cost:
    """Count ``Σ|x|^p``: a norm without the root."""
    cost = norm_cost(numel(self), numel(out), ord)
    return Cost(other_flops=cost.other_flops, transcendentals=max(cost.transcendentals - numel(out), 0))


@formula("aten::dist")
def dist(self: TensorSpec, other: TensorSpec, p: Number) -> Cost:
    """Count the p-norm of ``self − other``, which are broadcast."""
    n = math.prod(torch.broadcast_shapes(self.shape, other.shape))
    cost = norm_cost(n, 1, p)
    return Cost(other_flops=n + cost.other_flops, transcendentals=cost.transcendentals)


@formula("aten::renorm")
def renorm(self: TensorSpec, p: Number, dim: int) -> Cost:
    """Count the scaling of M slices to at most a maximum norm.

    Each slice takes its norm, a compare and the factor ``maxnorm / (norm + ε)``; each of N elements takes a multiply.
    """
    n, m = numel(self), self.shape[dim]
    cost = norm_cost(n, m, p)
    return Cost(other_flops=cost.other_flops + 3 * m + n, transcendentals=cost.transcendentals)


@formula("aten::trace")
def trace(self: Shape) -> Cost:
    """Count the adds along the diagonal."""
    return Cost(other_flops=reduction_ops(min(self), 1))


@formula("aten::equal")
def equal(self: TensorSpec, other: TensorSpec) -> Cost:
    """Count N compares and N − 1 logical ANDs: an upper bound, since a kernel may stop at the first difference."""
    same = self.shape == other.shape
    return Cost(other_flops=numel(self) + reduction_ops(numel(self), 1) if same else 0)


@formula("aten::allclose")
def allclose(self: TensorSpec, other: TensorSpec) -> Cost:
    """Count the test ``|a − b| ≤ atol + rtol·|b|``, six FLOPs per element, and N − 1 logical ANDs."""
    n = math.prod(torch.broadcast_shapes(self.shape, other.shape))
    return Cost(other_flops=6 * n + reduction_ops(n, 1))


@formula(
    "aten::cumsum", "aten::cumprod", "aten::cummax", "aten::cummin", "aten::_cummax_helper", "aten::_cummin_helper"
)
def scan(self: TensorSpec, dim: int) -> Cost:
    """Count one operation for every element but the first of each row: N − rows."""
    return Cost(other_flops=reduction_ops(numel(self), rows(self, dim)))


@formula("aten::logcumsumexp", "aten::_logcumsumexp")
def logcumsumexp(self: TensorSpec, dim: int) -> Cost:
    """Count ``log Σ exp(x)`` over each prefix: N exp, N − rows adds, N log."""
    return Cost(other_flops=reduction_ops(numel(self), rows(self, dim)), transcendentals=2 * numel(self))


def _variance(self: TensorSpec, out: TensorSpec) -> int:
    n, m = numel(self), numel(out)
    return 2 * n + 2 * (reduction_ops(n, m) + m)
