"""Softmax, log-softmax and their masked and sparse variants, over N elements in R rows.

The numerically stable form is counted, which every kernel uses: it first subtracts the maximum of the row. Masked rows
and elements count like any other.
"""

from __future__ import annotations

from profiler.formulas.element_counts import numel, reduction_ops, rows
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec


@formula("aten::_softmax", "aten::_sparse_softmax", "aten::softmax.int_out")
def softmax(self: TensorSpec, dim: int) -> Cost:
    """Count ``exp(x − m) / Σ exp(x − m)``: compares N − R, subtractions N, N exp, sum N − R, divides N."""
    n, r = numel(self), _rows(self, dim)
    return Cost(other_flops=2 * n + 2 * reduction_ops(n, r), transcendentals=n)


@formula("aten::_log_softmax", "aten::_sparse_log_softmax", "aten::log_softmax.int_out")
def log_softmax(self: TensorSpec, dim: int) -> Cost:
    """Count ``x − m − log Σ exp(x − m)``: compares N − R, subtractions 2N, N exp, sum N − R, R log."""
    n, r = numel(self), _rows(self, dim)
    return Cost(other_flops=2 * n + 2 * reduction_ops(n, r), transcendentals=n + r)


@formula("aten::_safe_softmax")
def safe_softmax(self: TensorSpec, dim: int) -> Cost:
    """Count a softmax that returns 0 for rows of only −∞: N compares with −∞ and N − R logical ANDs more."""
    n, r = numel(self), _rows(self, dim)
    return Cost(other_flops=3 * n + 3 * reduction_ops(n, r), transcendentals=n)


@formula("aten::_masked_softmax")
def masked_softmax(self: TensorSpec, dim: int | None) -> Cost:
    """Count a softmax over the last dimension, or *dim*; masked elements count too."""
    return softmax(self, -1 if dim is None else dim)


@formula("aten::_softmax_backward_data", "aten::_sparse_softmax_backward_data")
def softmax_backward(output: TensorSpec, dim: int) -> Cost:
    """Count ``y·g − y·Σ(y·g)``: multiplies 2N, sum N − R, subtractions N."""
    n, r = numel(output), _rows(output, dim)
    return Cost(other_flops=3 * n + reduction_ops(n, r))


@formula("aten::_log_softmax_backward_data", "aten::_sparse_log_softmax_backward_data")
def log_softmax_backward(output: TensorSpec, dim: int) -> Cost:
    """Count ``g − exp(y)·Σg``: sum N − R, N exp, multiplies N, subtractions N."""
    n, r = numel(output), _rows(output, dim)
    return Cost(other_flops=2 * n + reduction_ops(n, r), transcendentals=n)


@formula("aten::_masked_softmax_backward")
def masked_softmax_backward(output: TensorSpec, dim: int | None) -> Cost:
    """Count the backward pass of a softmax over the last dimension, or *dim*."""
    return softmax_backward(output, -1 if dim is None else dim)


def _rows(spec: TensorSpec, dim: int) -> int:
    """Return the number of rows along *dim*; of a sparse tensor at most one per stored element (an upper bound)."""
    return min(rows(spec, dim), numel(spec))
