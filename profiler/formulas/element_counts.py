"""Count the elements that an operator computes with, and the operations of a reduction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.values.records import Shape, TensorSpec


def numel(spec: TensorSpec) -> int:
    """Count the elements of a tensor that an operator computes with.

    An expanded dimension counts in full, because every element of it is computed with although it is stored once. Of a
    sparse or nested tensor only the stored elements count.
    """
    return math.prod(spec.shape) if spec.layout == "strided" else spec.elements


def reduction_ops(elements: int, results: int) -> int:
    """Count the operations that reduce N *elements* to M *results*: ``N − M`` adds (or compares …), at least 0."""
    return max(elements - results, 0)


def length(spec: TensorSpec, dim: int) -> int:
    """Return the size of a dimension; 1 for a tensor without dimensions."""
    return spec.shape[dim] if spec.shape else 1


def rows(spec: TensorSpec, dim: int) -> int:
    """Count the vectors along *dim*: the product of all other dimensions, summed over the parts of a nested tensor."""
    if not spec.shape:
        return 1
    dim %= len(spec.shape)
    if spec.layout == "nested" and spec.values is not None:
        shapes = zip(*[iter(spec.values)] * (len(spec.shape) - 1), strict=True)
        return sum(_product_of_others(shape, dim - 1) for shape in shapes)
    return _product_of_others(spec.shape, dim)


def _product_of_others(shape: Shape, dim: int) -> int:
    return math.prod(n for i, n in enumerate(shape) if i != dim)
