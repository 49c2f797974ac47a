"""Embeddings and embedding bags.

A lookup takes no arithmetic, and reads the selected rows only, not the table. A bag reduces its rows by adds or
compares; with per-sample weights it is the product of a sparse matrix and the table, and takes MACs. The backward pass
adds each gradient to its row, which starts at zero. Which indices repeat or are padding depends on the data: every
index is counted, and every bag is assumed to have at least one.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.reductions import norm_cost
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Number, Shape, TensorSpec

_MEAN, _MAX = 1, 2


@formula("aten::embedding")
def embedding(indices: TensorSpec, out: TensorSpec) -> Cost:
    """Count reading the indices and the selected rows."""
    return Cost(bytes_read=indices.bytes + out.bytes)


@formula("aten::embedding_dense_backward")
def embedding_dense_backward(grad_output: Shape, indices: Shape, scale_grad_by_freq: bool) -> Cost:
    """Count adding every gradient to its row; scaling by frequency counts the indices and divides each gradient."""
    n = prod(grad_output)
    return Cost(other_flops=n + scale_grad_by_freq * (n + prod(indices)))


@formula("aten::embedding_renorm")
def embedding_renorm(self: TensorSpec, indices: TensorSpec, norm_type: Number) -> Cost:
    """Count scaling the selected rows down to a norm of ``max_norm``: an upper bound, as if every row exceeded it.

    Each row takes its norm, a compare, an add and a divide for the factor, and a multiply per element. Every index is
    assumed to select another row.
    """
    rows, width = min(prod(indices.shape), self.shape[0]), self.shape[1]
    norms, row_bytes = norm_cost(rows * width, rows, norm_type), rows * width * int(self.itemsize)
    return Cost(
        other_flops=norms.other_flops + 3 * rows + rows * width,
        transcendentals=norms.transcendentals,
        bytes_read=indices.bytes + row_bytes,
        bytes_written=row_bytes,
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
    """Count reducing rows to bags by sum, mean (and a divide per result) or maximum.

    Bytes written are those of the bags, and for a maximum of the index that attained it. The operator's other results
    are bookkeeping.
    """
    elements = prod(indices.shape) * weight.shape[1]
    read = indices.bytes + offsets.bytes + elements * int(weight.itemsize)
    argmax_bytes = prod(out.shape) * int(indices.itemsize) if mode == _MAX else 0
    if per_sample_weights is not None:
        return Cost(macs=elements, bytes_read=read + per_sample_weights.bytes, bytes_written=out.bytes)
    return Cost(
        other_flops=reduction_ops(elements, prod(out.shape)) + (mode == _MEAN) * prod(out.shape),
        bytes_read=read,
        bytes_written=out.bytes + argmax_bytes,
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
    """Count the gradient of the table; a sparse gradient has one row per index, so nothing is added up."""
    if sparse:
        return _sparse_backward(grad, indices, mode, per_sample_weights)
    return embedding_bag_dense_backward(grad, indices, scale_grad_by_freq, mode, per_sample_weights)


@formula("aten::_embedding_bag_dense_backward")
def embedding_bag_dense_backward(
    grad: TensorSpec, indices: TensorSpec, scale_grad_by_freq: bool, mode: int, per_sample_weights: TensorSpec | None
) -> Cost:
    """Count adding the gradient of each bag to its rows (for a mean divided by the size, for a maximum to one row).

    Bytes read are those of the gradients, the indices and the bag of each index; for a maximum, of the gradients and
    the index that attained each maximum.
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
    """Count, per index, the dot product of its row with the gradient of its bag."""
    elements = prod(indices.shape) * weight.shape[1]
    return Cost(macs=elements, bytes_read=grad.bytes + 2 * indices.bytes + elements * int(weight.itemsize))


def _sparse_backward(grad: TensorSpec, indices: TensorSpec, mode: int, per_sample_weights: TensorSpec | None) -> Cost:
    """Count copying each bag's gradient to its rows; weights multiply each element, a mean divides each bag's."""
    products = prod(indices.shape) * grad.shape[1] * (per_sample_weights is not None)
    read = grad.bytes + 2 * indices.bytes + (per_sample_weights.bytes if per_sample_weights is not None else 0)
    return Cost(other_flops=products + (mode == _MEAN) * prod(grad.shape), bytes_read=read)
