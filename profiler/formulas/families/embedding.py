"""Embeddings: rows picked from a table, and sums of them.

A look-up computes nothing, and reads the rows that it picks, not the table. A bag joins its rows by adds or compares;
with a weight for each row it is a product of a sparse matrix with the table, and its multiply-adds are MACs. Backward,
each gradient is added to its row, onto zeros. Which rows are the same, or are padding, depends on data: every index is
taken to count, and every bag to hold one.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.reductions import norm_cost
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape, TensorSpec

_MEAN, _MAX = 1, 2


@formula("aten::embedding")
def embedding(indices: TensorSpec, out: TensorSpec) -> Cost:
    """Read the indices and their rows."""
    return Cost(bytes_read=indices.bytes + out.bytes)


@formula("aten::embedding_dense_backward")
def embedding_dense_backward(grad_output: Shape, indices: Shape, scale_grad_by_freq: bool) -> Cost:
    """Add every gradient to its row; scaling by frequency counts the indices and divides each gradient."""
    n = prod(grad_output)
    return Cost(other_flops=n + scale_grad_by_freq * (n + prod(indices)))


@formula("aten::embedding_renorm")
def embedding_renorm(self: TensorSpec, indices: TensorSpec, norm_type: float | None) -> Cost:
    """Bring each picked row to a norm of at most ``max_norm``: an upper bound, every index another row and too long.

    The norm, a compare, an add and a divide for the factor, and a multiply for each element.
    """
    rows, width = min(prod(indices.shape), self.shape[0]), self.shape[1]
    norms, moved = norm_cost(rows * width, rows, norm_type), rows * width * int(self.itemsize)
    return Cost(
        other_flops=norms.other_flops + 3 * rows + rows * width,
        transcendentals=norms.transcendentals,
        bytes_read=indices.bytes + moved,
        bytes_written=moved,
    )


@formula("aten::_embedding_bag", "aten::_embedding_bag_forward_only")
def embedding_bag(
    weight: TensorSpec,
    indices: TensorSpec,
    offsets: TensorSpec,
    mode: int,
    per_sample_weights: TensorSpec | None,
    out: TensorSpec,
) -> Cost:
    """Join L rows of D to bags by sum, mean (and a divide for each result) or maximum.

    Written are the bags, and for a maximum which index gave it; the other results of the operator are bookkeeping.
    """
    rows = prod(indices.shape) * weight.shape[1]
    read = indices.bytes + offsets.bytes + rows * int(weight.itemsize)
    winners = prod(out.shape) * int(indices.itemsize) if mode == _MAX else 0
    if per_sample_weights is not None:
        return Cost(macs=rows, bytes_read=read + per_sample_weights.bytes, bytes_written=out.bytes)
    return Cost(
        other_flops=reduction_ops(rows, prod(out.shape)) + (mode == _MEAN) * prod(out.shape),
        bytes_read=read,
        bytes_written=out.bytes + winners,
    )


@formula("aten::_embedding_bag_backward")
def embedding_bag_backward(
    grad: TensorSpec,
    indices: TensorSpec,
    scale_grad_by_freq: bool,
    mode: int,
    sparse: bool,
    per_sample_weights: TensorSpec | None,
) -> Cost:
    """Give each row the gradient of its bag; a sparse gradient keeps the rows apart and adds none."""
    if sparse:
        return _sparse(grad, indices, mode, per_sample_weights)
    return embedding_bag_dense_backward(grad, indices, scale_grad_by_freq, mode, per_sample_weights)


@formula("aten::_embedding_bag_dense_backward")
def embedding_bag_dense_backward(
    grad: TensorSpec, indices: TensorSpec, scale_grad_by_freq: bool, mode: int, per_sample_weights: TensorSpec | None
) -> Cost:
    """Add to each of L rows the gradient of its bag (divided by the bag's size for a mean), or to the winners theirs.

    Read are the gradients, the indices, and for each the bag that it is in, or for a maximum the winners.
    """
    bags, count, width = prod(grad.shape), prod(indices.shape), grad.shape[1]
    if mode == _MAX:
        return Cost(other_flops=bags, bytes_read=grad.bytes + bags * int(indices.itemsize))
    read = grad.bytes + 2 * indices.bytes
    scaling = scale_grad_by_freq * (count * width + count)
    if per_sample_weights is not None:
        return Cost(macs=count * width, other_flops=scaling, bytes_read=read + per_sample_weights.bytes)
    return Cost(other_flops=count * width + (mode == _MEAN) * bags + scaling, bytes_read=read)


@formula("aten::_embedding_bag_per_sample_weights_backward")
def embedding_bag_weights_backward(grad: TensorSpec, weight: TensorSpec, indices: TensorSpec) -> Cost:
    """Count for each index the dot product of its row with the gradient of its bag."""
    rows = prod(indices.shape) * weight.shape[1]
    return Cost(macs=rows, bytes_read=grad.bytes + 2 * indices.bytes + rows * int(weight.itemsize))


def _sparse(grad: TensorSpec, indices: TensorSpec, mode: int, per_sample_weights: TensorSpec | None) -> Cost:
    """Copy the gradient of its bag to each row; weights multiply each element, a mean divides each bag's."""
    weighted = prod(indices.shape) * grad.shape[1] * (per_sample_weights is not None)
    read = grad.bytes + 2 * indices.bytes + (per_sample_weights.bytes if per_sample_weights is not None else 0)
    return Cost(other_flops=weighted + (mode == _MEAN) * prod(grad.shape), bytes_read=read)
