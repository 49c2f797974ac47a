"""Reductions and scans: N elements to M results.

To join N elements to M results takes exactly N − M additions, products, compares or logical operations; a scan takes
one for every element but the first of each row. What is computed of each element before, and of each result after,
comes on top. Which is the smallest or largest is known from the same compares.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from profiler.formulas.element_counts import numel, reduction_ops, rows
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Shape


@formula(
    "aten::sum", "aten::prod", "aten::amax", "aten::amin", "aten::argmax", "aten::argmin", "aten::all", "aten::any",
    "aten::max.default", "aten::max.dim", "aten::max.dim_max", "aten::max.unary_out", "aten::max.names_dim",
    "aten::min.default", "aten::min.dim", "aten::min.dim_min", "aten::min.unary_out", "aten::min.names_dim",
    "aten::_is_all_true", "aten::_is_any_true", "aten::hash_tensor",
    "aten::_sparse_sum", "aten::_sparse_csr_sum", "aten::_sparse_csr_prod",
)  # fmt: skip
def reduction(self: TensorSpec, out: TensorSpec) -> Cost:
    """Join N elements to M results: N − M."""
    return Cost(other_flops=reduction_ops(numel(self), numel(out)))


@formula("aten::mean")
def mean(self: TensorSpec, out: TensorSpec) -> Cost:
    """Add, and divide each sum: N − M + M."""
    return Cost(other_flops=reduction_ops(numel(self), numel(out)) + numel(out))


@formula("aten::aminmax", "aten::_aminmax")
def aminmax(self: TensorSpec, out: TensorSpec) -> Cost:
    """Compare for the smallest and for the largest: 2·(N − M)."""
    return Cost(other_flops=2 * reduction_ops(numel(self), numel(out)))


@formula("aten::count_nonzero", "aten::nansum")
def test_and_add(self: TensorSpec, out: TensorSpec) -> Cost:
    """Test each element (for zero, for NaN) and add: N + N − M."""
    return Cost(other_flops=numel(self) + reduction_ops(numel(self), numel(out)))


@formula("aten::var", "aten::var_mean")
def var(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count ``Σ(x − x̄)² / (n − c)``: the mean N, differences N, squares N, their mean N; the mean is had on the way."""
    return Cost(other_flops=_variance(self, out))


@formula("aten::std", "aten::std_mean")
def std(self: TensorSpec, out: TensorSpec) -> Cost:
    """Take the square root of each variance."""
    return Cost(other_flops=_variance(self, out), transcendentals=numel(out))


@formula("aten::logsumexp")
def logsumexp(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count ``m + log Σ exp(x − m)``, m the largest: compares N − M, differences N, N exp, sum N − M, M log, M sums."""
    n, m = numel(self), numel(out)
    return Cost(other_flops=2 * reduction_ops(n, m) + n + m, transcendentals=n + m)


def norm_cost(n: int, m: int, p: float | None) -> Cost:
    """Count M norms of N elements.

    p = 0 counts the elements that are not zero; 1 and ∞ take absolute values, 2 squares and a root; any other p two
    powers. A p that was not observed counts as any other.
    """
    if p in {0, 1, math.inf, -math.inf}:
        return Cost(other_flops=n + reduction_ops(n, m))
    if p == 2:  # noqa: PLR2004 - the Euclidean norm
        return Cost(other_flops=n + reduction_ops(n, m), transcendentals=m)
    return Cost(other_flops=n + reduction_ops(n, m), transcendentals=n + m)


@formula("aten::linalg_vector_norm")
def vector_norm(self: TensorSpec, ord: float | None, out: TensorSpec) -> Cost:
    """Count ``(Σ|x|^p)^(1/p)``; see ``norm_cost``."""
    return norm_cost(numel(self), numel(out), ord)


@formula("aten::norm", "aten::native_norm")
def norm(self: TensorSpec, p: float | None, out: TensorSpec) -> Cost:
    """Count a vector norm; without p it is the Euclidean one."""
    return norm_cost(numel(self), numel(out), 2 if p is None else p)


@formula("aten::linalg__powsum")
def powsum(self: TensorSpec, ord: float | None, out: TensorSpec) -> Cost:
    """Count a norm without its root."""
    cost = norm_cost(numel(self), numel(out), ord)
    return Cost(other_flops=cost.other_flops, transcendentals=max(cost.transcendentals - numel(out), 0))


@formula("aten::dist")
def dist(self: TensorSpec, other: TensorSpec, p: float | None) -> Cost:
    """Count the norm of the difference."""
    n = math.prod(torch.broadcast_shapes(self.shape, other.shape))
    cost = norm_cost(n, 1, p)
    return Cost(other_flops=n + cost.other_flops, transcendentals=cost.transcendentals)


@formula("aten::renorm")
def renorm(self: TensorSpec, p: float | None, dim: int) -> Cost:
    """Scale the slices whose norm exceeds a bound.

    Each of M slices takes its norm, a compare, and the factor ``bound / (norm + ε)``; each of N elements a product.
    """
    n, m = numel(self), self.shape[dim]
    cost = norm_cost(n, m, p)
    return Cost(other_flops=cost.other_flops + 3 * m + n, transcendentals=cost.transcendentals)


@formula("aten::trace")
def trace(self: Shape) -> Cost:
    """Add the diagonal."""
    return Cost(other_flops=reduction_ops(min(self), 1))


@formula("aten::equal")
def equal(self: TensorSpec, other: TensorSpec) -> Cost:
    """Compare all elements, and join N verdicts to one: N + N − 1, although the first difference may end it."""
    same = self.shape == other.shape
    return Cost(other_flops=numel(self) + reduction_ops(numel(self), 1) if same else 0)


@formula("aten::allclose")
def allclose(self: TensorSpec, other: TensorSpec) -> Cost:
    """Test ``|a − b| ≤ atol + rtol·|b|``: six operations an element, and N − 1 to join the verdicts."""
    n = math.prod(torch.broadcast_shapes(self.shape, other.shape))
    return Cost(other_flops=6 * n + reduction_ops(n, 1))


@formula(
    "aten::cumsum", "aten::cumprod", "aten::cummax", "aten::cummin", "aten::_cummax_helper", "aten::_cummin_helper"
)
def scan(self: TensorSpec, dim: int) -> Cost:
    """Join each element but the first of its row to what is before it: N − rows."""
    return Cost(other_flops=reduction_ops(numel(self), rows(self, dim)))


@formula("aten::logcumsumexp", "aten::_logcumsumexp")
def logcumsumexp(self: TensorSpec, dim: int) -> Cost:
    """Count ``log Σ exp(x)`` over each prefix: N exp, N − rows sums, N log."""
    return Cost(other_flops=reduction_ops(numel(self), rows(self, dim)), transcendentals=2 * numel(self))


def _variance(self: TensorSpec, out: TensorSpec) -> int:
    n, m = numel(self), numel(out)
    return 2 * n + 2 * (reduction_ops(n, m) + m)
