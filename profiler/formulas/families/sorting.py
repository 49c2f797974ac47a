"""Sorting, selecting and searching, counted in compares.

What a kernel does depends on its algorithm and on the data, so a convention is stated for each, as an exact integer
of the shapes; ``⌈log₂ n⌉`` compares place one element among n (binary search: Knuth, The Art of Computer Programming,
vol. 3, 6.2.1):

- to sort a row of n: ``n·⌈log₂ n⌉``, a merge sort's bound (5.2.4);
- to select the k first of n: ``n·⌈log₂(k + 1)⌉``, each element against a heap of k (5.2.3);
- to find a place among n sorted: ``⌈log₂(n + 1)⌉``, since there are n + 1 places;
- to find what differs from its neighbour, of n sorted: n − 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.formulas.element_counts import length, numel, reduction_ops, rows
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Shape


def log2_ceiling(n: int) -> int:
    """Give ``⌈log₂ n⌉`` exactly; 0 for n of 0 or 1."""
    return max(n - 1, 0).bit_length()


@formula("aten::sort")
def sort(self: TensorSpec, dim: int) -> Cost:
    """Sort each row: ``n·⌈log₂ n⌉``."""
    return Cost(other_flops=numel(self) * log2_ceiling(length(self, dim)))


@formula("aten::topk")
def topk(self: TensorSpec, k: int) -> Cost:
    """Select the k largest of each row: ``n·⌈log₂(k + 1)⌉``."""
    return Cost(other_flops=_select(self, k))


@formula("aten::kthvalue")
def kthvalue(self: TensorSpec, k: int, dim: int) -> Cost:
    """Select up to the k-th from the nearer end."""
    n = length(self, dim)
    return Cost(other_flops=_select(self, min(k, n - k + 1)))


@formula("aten::median.default", "aten::median.out")
def median(self: TensorSpec) -> Cost:
    """Select the lower half of all elements."""
    return Cost(other_flops=_select(self, (numel(self) + 1) // 2))


@formula("aten::median.dim", "aten::median.dim_values")
def median_dim(self: TensorSpec, dim: int) -> Cost:
    """Select the lower half of each row."""
    return Cost(other_flops=_select(self, (length(self, dim) + 1) // 2))


@formula("aten::nanmedian.default", "aten::nanmedian.out")
def nanmedian(self: TensorSpec) -> Cost:
    """Test each element for NaN, and select."""
    return Cost(other_flops=numel(self) + _select(self, (numel(self) + 1) // 2))


@formula("aten::nanmedian.dim", "aten::nanmedian.dim_values")
def nanmedian_dim(self: TensorSpec, dim: int) -> Cost:
    """Test each element for NaN, and select in each row."""
    return Cost(other_flops=numel(self) + _select(self, (length(self, dim) + 1) // 2))


@formula("aten::mode")
def mode(self: TensorSpec, dim: int) -> Cost:
    """Sort each row, and compare neighbours for the longest run."""
    sorting = numel(self) * log2_ceiling(length(self, dim))
    return Cost(other_flops=sorting + reduction_ops(numel(self), rows(self, dim)))


@formula("aten::_unique", "aten::_unique2")
def unique(self: TensorSpec) -> Cost:
    """Sort all elements, and compare neighbours."""
    n = numel(self)
    return Cost(other_flops=n * log2_ceiling(n) + reduction_ops(n, 1))


@formula("aten::unique_dim")
def unique_dim(self: Shape, dim: int) -> Cost:
    """Sort the n slices along *dim*, and compare neighbours; a compare of slices is one of all their elements."""
    n, each = _slices(self, dim)
    return Cost(other_flops=(n * log2_ceiling(n) + reduction_ops(n, 1)) * each)


@formula("aten::unique_consecutive")
def unique_consecutive(self: Shape, dim: int | None) -> Cost:
    """Compare neighbours: elements, or slices along *dim*."""
    n, each = _slices(self, dim)
    return Cost(other_flops=reduction_ops(n, 1) * each)


@formula("aten::unique_dim_consecutive")
def unique_dim_consecutive(self: Shape, dim: int) -> Cost:
    """Compare neighbouring slices."""
    n, each = _slices(self, dim)
    return Cost(other_flops=reduction_ops(n, 1) * each)


@formula("aten::searchsorted")
def searchsorted(sorted_sequence: Shape, out: TensorSpec) -> Cost:
    """Find the place of each value among n sorted: ``⌈log₂(n + 1)⌉``."""
    return Cost(other_flops=numel(out) * log2_ceiling(sorted_sequence[-1] + 1))


@formula("aten::bucketize")
def bucketize(boundaries: Shape, out: TensorSpec) -> Cost:
    """Find the place of each value among n boundaries: ``⌈log₂(n + 1)⌉``."""
    return Cost(other_flops=numel(out) * log2_ceiling(boundaries[0] + 1))


@formula("aten::isin.Tensor_Tensor", "aten::isin.Tensor_Tensor_out")
def isin(elements: TensorSpec, test_elements: TensorSpec) -> Cost:
    """Sort the m tested for, and find each of the n among them."""
    n, m = numel(elements), numel(test_elements)
    return Cost(other_flops=m * log2_ceiling(m) + n * log2_ceiling(m + 1))


@formula("aten::isin.Tensor_Scalar", "aten::isin.Tensor_Scalar_out")
def isin_scalar(elements: TensorSpec) -> Cost:
    """Compare each element with the one tested for."""
    return Cost(other_flops=numel(elements))


@formula("aten::isin.Scalar_Tensor", "aten::isin.Scalar_Tensor_out")
def scalar_isin(test_elements: TensorSpec) -> Cost:
    """Compare with each element tested for, and join the verdicts."""
    return Cost(other_flops=numel(test_elements) + reduction_ops(numel(test_elements), 1))


def _select(spec: TensorSpec, k: int) -> int:
    return numel(spec) * log2_ceiling(k + 1)


def _slices(shape: Shape, dim: int | None) -> tuple[int, int]:
    """Give the number of slices along *dim* and the elements of one; without *dim* the elements are the slices."""
    total = 1
    for size in shape:
        total *= size
    if dim is None:
        return total, 1
    return shape[dim], total // max(shape[dim], 1)
