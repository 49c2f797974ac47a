"""Softmax and its relatives, over N elements in R rows.

The stable form is counted, as every kernel has it: the largest of a row is subtracted first. A masked row or element
is computed like any other.
"""

from __future__ import annotations

from profiler.formulas.element_counts import numel, reduction_ops, rows
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec


@formula("aten::_softmax", "aten::_sparse_softmax", "aten::softmax.int_out")
def softmax(self: TensorSpec, dim: int) -> Cost:
    """Count ``exp(x − m) / Σ exp(x − m)``: compares N − R, differences N, N exp, sum N − R, quotients N."""
    n, r = numel(self), _rows(self, dim)
    return Cost(other_flops=2 * n + 2 * reduction_ops(n, r), transcendentals=n)


@formula("aten::_log_softmax", "aten::_sparse_log_softmax", "aten::log_softmax.int_out")
def log_softmax(self: TensorSpec, dim: int) -> Cost:
    """Count ``x − m − log Σ exp(x − m)``: compares N − R, differences N, N exp, sum N − R, R log, differences N."""
    n, r = numel(self), _rows(self, dim)
    return Cost(other_flops=2 * n + 2 * reduction_ops(n, r), transcendentals=n + r)


@formula("aten::_safe_softmax")
def safe_softmax(self: TensorSpec, dim: int) -> Cost:
    """Count a softmax whose rows of −∞ alone give 0: N compares with −∞, joined by N − R more operations."""
    n, r = numel(self), _rows(self, dim)
    return Cost(other_flops=3 * n + 3 * reduction_ops(n, r), transcendentals=n)


@formula("aten::_masked_softmax")
def masked_softmax(self: TensorSpec, dim: int | None) -> Cost:
    """Count a softmax of which a mask chooses the elements; without *dim* it runs along the last."""
    return softmax(self, -1 if dim is None else dim)


@formula("aten::_softmax_backward_data", "aten::_sparse_softmax_backward_data")
def softmax_backward(output: TensorSpec, dim: int) -> Cost:
    """Count ``y·g − y·Σ(y·g)``: products N, sum N − R, products N, differences N."""
    n, r = numel(output), _rows(output, dim)
    return Cost(other_flops=3 * n + reduction_ops(n, r))


@formula("aten::_log_softmax_backward_data", "aten::_sparse_log_softmax_backward_data")
def log_softmax_backward(output: TensorSpec, dim: int) -> Cost:
    """Count ``g − exp(y)·Σg``: sum N − R, N exp, products N, differences N."""
    n, r = numel(output), _rows(output, dim)
    return Cost(other_flops=2 * n + reduction_ops(n, r), transcendentals=n)


@formula("aten::_masked_softmax_backward")
def masked_softmax_backward(output: TensorSpec, dim: int | None) -> Cost:
    """Count the backward pass of a softmax."""
    return softmax_backward(output, -1 if dim is None else dim)


def _rows(spec: TensorSpec, dim: int) -> int:
    """Count the rows along *dim*; of a sparse tensor as many as could hold an element, since shapes do not tell."""
    return min(rows(spec, dim), numel(spec))
