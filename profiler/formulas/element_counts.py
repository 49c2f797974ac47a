"""How many elements arithmetic works on, and how many operations it takes to join them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.values.records import Shape, TensorSpec


def numel(spec: TensorSpec) -> int:
    """Count the elements of a tensor that arithmetic visits.

    An expanded dimension counts in full, although it is stored once: each of its elements is computed with. A sparse
    or nested tensor counts the elements that it stores.
    """
    return math.prod(spec.shape) if spec.layout == "strided" else spec.elements


def reduction_ops(elements: int, results: int) -> int:
    """Count the additions (or compares …) that join *elements* to *results*: ``N − M``, and none of nothing."""
    return max(elements - results, 0)


def length(spec: TensorSpec, dim: int) -> int:
    """Give the size of one dimension; a tensor without dimensions has one element along any."""
    return spec.shape[dim] if spec.shape else 1


def rows(spec: TensorSpec, dim: int) -> int:
    """Count the vectors along *dim*: the product of all other dimensions; in a nested tensor, over its components."""
    if not spec.shape:
        return 1
    dim %= len(spec.shape)
    if spec.layout == "nested" and spec.values is not None:
        components = zip(*[iter(spec.values)] * (len(spec.shape) - 1), strict=True)
        return sum(_others(component, dim - 1) for component in components)
    return _others(spec.shape, dim)


def _others(shape: Shape, dim: int) -> int:
    return math.prod(n for i, n in enumerate(shape) if i != dim)
