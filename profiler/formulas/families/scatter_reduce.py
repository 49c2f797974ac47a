"""Accumulations: elements that are joined (added, multiplied, compared …) to what lies where an index says.

Each source element is one operation. In place, only the places that are named are read and written: as many as source
elements, since shapes do not tell how many name the same place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Shape


@formula("aten::scatter_add", "aten::scatter.reduce", "aten::scatter.value_reduce",
         "aten::scatter.reduce_out", "aten::scatter.value_reduce_out")  # fmt: skip
def scatter_add(index: TensorSpec) -> Cost:
    """Join as many elements as there are indices."""
    return Cost(other_flops=numel(index))


@formula("aten::scatter_add_", "aten::scatter_.reduce", "aten::scatter_.value_reduce")
def scatter_add_(self: TensorSpec, index: TensorSpec) -> Cost:
    """Join them in place."""
    return _in_place(numel(index), numel(index), self, index)


@formula("aten::scatter_reduce")
def scatter_reduce(self: TensorSpec, index: TensorSpec, reduce: str) -> Cost:
    """Join as many elements as there are indices."""
    return Cost(other_flops=_joined(numel(index), numel(self), reduce))


@formula("aten::scatter_reduce_")
def scatter_reduce_(self: TensorSpec, index: TensorSpec, reduce: str) -> Cost:
    """Join them in place."""
    return _in_place(_joined(numel(index), numel(self), reduce), numel(index), self, index)


@formula("aten::index_add")
def index_add(source: TensorSpec, alpha: float | None) -> Cost:
    """Add the source to the named slices; with alpha each element takes a product before."""
    return Cost(other_flops=numel(source) * (1 if alpha == 1 else 2))


@formula("aten::index_add_")
def index_add_(self: TensorSpec, index: TensorSpec, source: TensorSpec, alpha: float | None) -> Cost:
    """Add it in place."""
    return _in_place(numel(source) * (1 if alpha == 1 else 2), numel(source), self, index)


@formula("aten::index_reduce")
def index_reduce(self: TensorSpec, source: TensorSpec, reduce: str) -> Cost:
    """Join the source to the named slices."""
    return Cost(other_flops=_joined(numel(source), numel(self), reduce))


@formula("aten::index_reduce_")
def index_reduce_(self: TensorSpec, index: TensorSpec, source: TensorSpec, reduce: str) -> Cost:
    """Join it in place."""
    return _in_place(_joined(numel(source), numel(self), reduce), numel(source), self, index)


@formula("aten::index_put", "aten::_unsafe_index_put")
def index_put(values: TensorSpec, accumulate: bool) -> Cost:
    """Put values into a copy: a movement, or with *accumulate* one addition each."""
    return Cost(other_flops=numel(values) if accumulate else 0)


@formula("aten::_unsafe_masked_index_put_accumulate")
def masked_index_put(values: TensorSpec) -> Cost:
    """Add the values at their places; a masked one adds zero."""
    return Cost(other_flops=numel(values))


@formula("aten::put")
def put(source: TensorSpec, accumulate: bool) -> Cost:
    """Put values into a copy by flat index."""
    return Cost(other_flops=numel(source) if accumulate else 0)


@formula("aten::put_")
def put_(self: TensorSpec, index: TensorSpec, source: TensorSpec, accumulate: bool) -> Cost:
    """Put values in place; without *accumulate* what was there is not read."""
    if accumulate:
        return _in_place(numel(source), numel(source), self, index)
    return Cost(bytes_read=index.bytes + source.bytes, bytes_written=source.bytes)


@formula("aten::_coalesce", "aten::_sparse_sum_backward")
def coalesce(self: TensorSpec, out: TensorSpec) -> Cost:
    """Add the stored elements that share a place; putting the places in order is not counted."""
    return Cost(other_flops=reduction_ops(self.elements, out.elements))


@formula("aten::segment_reduce")
def segment_reduce(data: TensorSpec, reduce: str, initial: float | None, out: TensorSpec) -> Cost:
    """Join N elements to M segments; a mean divides each, an initial value is joined to each."""
    extra = (reduce == "mean") + (initial is not None)
    return Cost(other_flops=reduction_ops(numel(data), numel(out)) + extra * numel(out))


@formula("aten::_segment_reduce_backward")
def segment_reduce_backward(data: TensorSpec, reduce: str) -> Cost:
    """Give each element its segment's gradient: as it is for a sum, else divided, compared or multiplied."""
    return Cost(other_flops=0 if reduce == "sum" else numel(data))


@formula(
    "aten::reflection_pad1d_backward", "aten::reflection_pad2d_backward", "aten::reflection_pad3d_backward",
    "aten::replication_pad1d_backward", "aten::replication_pad2d_backward", "aten::replication_pad3d_backward",
)  # fmt: skip
def pad_backward(grad_output: TensorSpec, out: TensorSpec) -> Cost:
    """Add the gradients of an element and of its copies in the padding: N − M."""
    return Cost(other_flops=reduction_ops(numel(grad_output), numel(out)), bytes_read=grad_output.bytes)


@formula("aten::unfold_backward")
def unfold_backward(grad_in: Shape, dim: int, size: int, step: int) -> Cost:
    """Add the gradients where windows overlap: each window but the first shares ``size − step`` with the one before."""
    windows = grad_in[dim % (len(grad_in) - 1)] if len(grad_in) > 1 else 1
    each = math.prod(grad_in) // max(windows * size, 1)
    return Cost(other_flops=each * reduction_ops(windows, 1) * reduction_ops(size, step))


def _joined(sources: int, places: int, how: str) -> int:
    """Count one operation a source; a mean counts the sources of each place too, and divides there."""
    return 2 * sources + places if how == "mean" else sources


def _in_place(operations: int, sources: int, self: TensorSpec, index: TensorSpec) -> Cost:
    """Read the index, the sources and their places; write the places."""
    moved = int(sources * self.itemsize)
    return Cost(other_flops=operations, bytes_read=index.bytes + 2 * moved, bytes_written=moved)
