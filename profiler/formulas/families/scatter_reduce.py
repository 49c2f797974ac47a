"""Scatter and index operators that accumulate: ``scatter_add``, ``index_add``, ``index_put``, ``segment_reduce`` ….

Each source element takes one operation (an add, multiply or compare). In-place variants read and write only the indexed
elements: one per source element, since shapes do not tell how many indices repeat.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Number, Shape


@formula("aten::scatter_add", "aten::scatter.reduce", "aten::scatter.value_reduce",
         "aten::scatter.reduce_out", "aten::scatter.value_reduce_out")  # fmt: skip
def scatter_add(index: TensorSpec) -> Cost:
    """Count one operation per index."""
    return Cost(other_flops=numel(index))


@formula("aten::scatter_add_", "aten::scatter_.reduce", "aten::scatter_.value_reduce")
def scatter_add_(self: TensorSpec, index: TensorSpec) -> Cost:
    """Count one operation per index; only the indexed elements are read and written."""
    return _in_place(numel(index), numel(index), self, index)


@formula("aten::scatter_reduce")
def scatter_reduce(self: TensorSpec, index: TensorSpec, reduce: str) -> Cost:
    """Count the reduction of one source element per index."""
    return Cost(other_flops=_reduce_flops(numel(index), numel(self), reduce))


@formula("aten::scatter_reduce_")
def scatter_reduce_(self: TensorSpec, index: TensorSpec, reduce: str) -> Cost:
    """Count the in-place reduction of one source element per index."""
    return _in_place(_reduce_flops(numel(index), numel(self), reduce), numel(index), self, index)


@formula("aten::index_add")
def index_add(source: TensorSpec, alpha: Number) -> Cost:
    """Count one add per source element, and one multiply for an *alpha* other than 1."""
    return Cost(other_flops=numel(source) * (1 if alpha == 1 else 2))


@formula("aten::index_add_")
def index_add_(self: TensorSpec, index: TensorSpec, source: TensorSpec, alpha: Number) -> Cost:
    """Count ``index_add``; only the indexed slices are read and written."""
    return _in_place(numel(source) * (1 if alpha == 1 else 2), numel(source), self, index)


@formula("aten::index_reduce")
def index_reduce(self: TensorSpec, source: TensorSpec, reduce: str) -> Cost:
    """Count the reduction of the source into the indexed slices."""
    return Cost(other_flops=_reduce_flops(numel(source), numel(self), reduce))


@formula("aten::index_reduce_")
def index_reduce_(self: TensorSpec, index: TensorSpec, source: TensorSpec, reduce: str) -> Cost:
    """Count the in-place reduction of the source into the indexed slices."""
    return _in_place(_reduce_flops(numel(source), numel(self), reduce), numel(source), self, index)


@formula("aten::index_put", "aten::_unsafe_index_put")
def index_put(values: TensorSpec, accumulate: bool) -> Cost:
    """Count one add per value with *accumulate*; otherwise it only copies."""
    return Cost(other_flops=numel(values) if accumulate else 0)


@formula("aten::_unsafe_masked_index_put_accumulate")
def masked_index_put(values: TensorSpec) -> Cost:
    """Count one add per value; masked values add zero."""
    return Cost(other_flops=numel(values))


@formula("aten::put")
def put(source: TensorSpec, accumulate: bool) -> Cost:
    """Count one add per source element with *accumulate*; otherwise it only copies."""
    return Cost(other_flops=numel(source) if accumulate else 0)


@formula("aten::put_")
def put_(self: TensorSpec, index: TensorSpec, source: TensorSpec, accumulate: bool) -> Cost:
    """Count ``put`` in place; without *accumulate* the old values are not read."""
    if accumulate:
        return _in_place(numel(source), numel(source), self, index)
    return Cost(bytes_read=index.bytes + source.bytes, bytes_written=source.bytes)


@formula("aten::_coalesce", "aten::_sparse_sum_backward")
def coalesce(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count the adds of stored elements with equal indices; sorting the indices is not counted."""
    return Cost(other_flops=reduction_ops(self.elements, out.elements))


@formula("aten::segment_reduce")
def segment_reduce(data: TensorSpec, reduce: str, initial: Number | None, out: TensorSpec) -> Cost:
    """Count N − M operations for N elements in M segments, M divides for a mean, and M more for an initial value."""
    extra = (reduce == "mean") + (initial is not None)
    return Cost(other_flops=reduction_ops(numel(data), numel(out)) + extra * numel(out))


@formula("aten::_segment_reduce_backward")
def segment_reduce_backward(data: TensorSpec, reduce: str) -> Cost:
    """Count one divide, compare or multiply per element; a sum only copies its segment's gradient."""
    return Cost(other_flops=0 if reduce == "sum" else numel(data))


@formula(
    "aten::reflection_pad1d_backward", "aten::reflection_pad2d_backward", "aten::reflection_pad3d_backward",
    "aten::replication_pad1d_backward", "aten::replication_pad2d_backward", "aten::replication_pad3d_backward",
)  # fmt: skip
def pad_backward(grad_output: TensorSpec, out: TensorSpec) -> Cost:
    """Count the adds of the gradients of an element and its copies in the padding: N − M."""
    return Cost(other_flops=reduction_ops(numel(grad_output), numel(out)), bytes_read=grad_output.bytes)


@formula("aten::unfold_backward")
def unfold_backward(grad_in: Shape, dim: int, size: int, step: int) -> Cost:
    """Count the adds where windows overlap: each window but the first overlaps the previous one by ``size − step``."""
    windows = grad_in[dim % (len(grad_in) - 1)] if len(grad_in) > 1 else 1
    each = math.prod(grad_in) // max(windows * size, 1)
    return Cost(other_flops=each * reduction_ops(windows, 1) * reduction_ops(size, step))


def _reduce_flops(sources: int, results: int, reduce: str) -> int:
    """Return one FLOP per source; a mean also counts the sources of each result, and divides each result."""
    return 2 * sources + results if reduce == "mean" else sources


def _in_place(operations: int, sources: int, self: TensorSpec, index: TensorSpec) -> Cost:
    """Return the cost of an in-place operator: it reads index, sources and indexed elements, and writes the latter."""
    size = int(sources * self.itemsize)
    return Cost(other_flops=operations, bytes_read=index.bytes + 2 * size, bytes_written=size)
