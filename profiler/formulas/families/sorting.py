"""Sorting, selection and search, counted in compares.

The compares of a kernel depend on its algorithm and on the data. A convention therefore gives an exact integer from the
shapes alone. It builds on binary search, which takes ``⌈log₂ n⌉`` compares among n elements:

- sort a row of n: ``n·⌈log₂ n⌉``, the bound of merge sort (5.2.4);
- select the k smallest or largest of n: ``n·⌈log₂(k + 1)⌉``, each element against a heap of k (5.2.3);
- insert into n sorted elements: ``⌈log₂(n + 1)⌉``, since there are n + 1 positions (6.2.1);
- find the distinct values of n sorted elements: n − 1.

Source: Knuth, The Art of Computer Programming, vol. 3, by section.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import length, numel, reduction_ops, rows
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Shape


def log2_ceiling(n: int) -> int:
    """Return ``⌈log₂ n⌉`` exactly; 0 for n = 0 and n = 1."""
    return max(n - 1, 0).bit_length()


@formula("aten::sort")
def sort(self: TensorSpec, dim: int) -> Cost:
    """Count ``n·⌈log₂ n⌉`` compares per row."""
    return Cost(other_flops=numel(self) * log2_ceiling(length(self, dim)))


@formula("aten::topk")
def topk(self: TensorSpec, k: int) -> Cost:
    """Count ``n·⌈log₂(k + 1)⌉`` compares per row."""
    return Cost(other_flops=_select(self, k))


@formula("aten::kthvalue")
def kthvalue(self: TensorSpec, k: int, dim: int) -> Cost:
    """Count the selection of the k-th element, from the nearer end of the row."""
    n = length(self, dim)
    return Cost(other_flops=_select(self, min(k, n - k + 1)))


@formula("aten::median.default", "aten::median.out")
def median(self: TensorSpec) -> Cost:
    """Count the selection of the lower half of all elements."""
    return Cost(other_flops=_select(self, (numel(self) + 1) // 2))


@formula("aten::median.dim", "aten::median.dim_values")
def median_dim(self: TensorSpec, dim: int) -> Cost:
    """Count the selection of the lower half of each row."""
    return Cost(other_flops=_select(self, (length(self, dim) + 1) // 2))


@formula("aten::nanmedian.default", "aten::nanmedian.out")
def nanmedian(self: TensorSpec) -> Cost:
    """Count one test for NaN per element, and the selection of the lower half of all elements."""
    return Cost(other_flops=numel(self) + _select(self, (numel(self) + 1) // 2))


@formula("aten::nanmedian.dim", "aten::nanmedian.dim_values")
def nanmedian_dim(self: TensorSpec, dim: int) -> Cost:
    """Count one test for NaN per element, and the selection of the lower half of each row."""
    return Cost(other_flops=numel(self) + _select(self, (length(self, dim) + 1) // 2))


@formula("aten::mode")
def mode(self: TensorSpec, dim: int) -> Cost:
    """Count the sort of each row, and the compares of neighbours that find the longest run."""
    sorting = numel(self) * log2_ceiling(length(self, dim))
    return Cost(other_flops=sorting + reduction_ops(numel(self), rows(self, dim)))


@formula("aten::_unique", "aten::_unique2")
def unique(self: TensorSpec) -> Cost:
    """Count the sort of all elements, and the compares of neighbours."""
    n = numel(self)
    return Cost(other_flops=n * log2_ceiling(n) + reduction_ops(n, 1))


@formula("aten::unique_dim")
def unique_dim(self: Shape, dim: int) -> Cost:
    """Count the sort of n slices and the compares of neighbours; comparing two slices compares all their elements."""
    n, each = _slices(self, dim)
    return Cost(other_flops=(n * log2_ceiling(n) + reduction_ops(n, 1)) * each)


@formula("aten::unique_consecutive")
def unique_consecutive(self: Shape, dim: int | None) -> Cost:
    """Count the compares of neighbouring elements, or of slices along *dim*."""
    n, each = _slices(self, dim)
    return Cost(other_flops=reduction_ops(n, 1) * each)


@formula("aten::unique_dim_consecutive")
def unique_dim_consecutive(self: Shape, dim: int) -> Cost:
    """Count the compares of neighbouring slices along *dim*."""
    n, each = _slices(self, dim)
    return Cost(other_flops=reduction_ops(n, 1) * each)


@formula("aten::searchsorted")
def searchsorted(sorted_sequence: Shape, out: TensorSpec) -> Cost:
    """Count ``⌈log₂(n + 1)⌉`` compares per value, for n sorted elements."""
    return Cost(other_flops=numel(out) * log2_ceiling(sorted_sequence[-1] + 1))


@formula("aten::bucketize")
def bucketize(boundaries: Shape, out: TensorSpec) -> Cost:
    """Count ``⌈log₂(n + 1)⌉`` compares per value, for n boundaries."""
    return Cost(other_flops=numel(out) * log2_ceiling(boundaries[0] + 1))


@formula("aten::isin.Tensor_Tensor", "aten::isin.Tensor_Tensor_out")
def isin(elements: TensorSpec, test_elements: TensorSpec) -> Cost:
    """Count the sort of m test elements, and a binary search for each of n elements."""
    n, m = numel(elements), numel(test_elements)
    return Cost(other_flops=m * log2_ceiling(m) + n * log2_ceiling(m + 1))


@formula("aten::isin.Tensor_Scalar", "aten::isin.Tensor_Scalar_out")
def isin_scalar(elements: TensorSpec) -> Cost:
    """Count one compare per element."""
    return Cost(other_flops=numel(elements))


@formula("aten::isin.Scalar_Tensor", "aten::isin.Scalar_Tensor_out")
def scalar_isin(test_elements: TensorSpec) -> Cost:
    """Count one compare per test element, and the logical ORs of the results."""
    return Cost(other_flops=numel(test_elements) + reduction_ops(numel(test_elements), 1))


def _select(spec: TensorSpec, k: int) -> int:
    return numel(spec) * log2_ceiling(k + 1)


def _slices(shape: Shape, dim: int | None) -> tuple[int, int]:
    """Return the number of slices along *dim* and the elements of each; without *dim* each element is a slice."""
    total = prod(shape)
    if dim is None:
        return total, 1
    return shape[dim], total // max(shape[dim], 1)
