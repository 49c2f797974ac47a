"""Histograms: each element is put into a bin.

Bins of equal width take the place from the element: two compares with the range, a difference, a product and a floor.
Bins of any width take a binary search among their edges. The bin then takes one addition.
"""

from __future__ import annotations

import math

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.families.sorting import log2_ceiling
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

_PLACE = 5


@formula("aten::bincount")
def bincount(self: TensorSpec) -> Cost:
    """Find the largest of N numbers, which says how many bins there are, and add each to its bin."""
    return Cost(other_flops=reduction_ops(numel(self), 1) + numel(self))


@formula("aten::histc")
def histc(self: TensorSpec, min: float | None, max: float | None) -> Cost:
    """Place and add N elements; without a range (both ends 0) the smallest and the largest are found first."""
    n, ranged = numel(self), not min == max == 0
    return Cost(other_flops=(_PLACE + 1) * n + (0 if ranged else 2 * reduction_ops(n, 1)))


@formula("aten::histogram.bin_ct", "aten::histogram.bin_ct_out")
def histogram(self: TensorSpec, range: object, density: bool, out: TensorSpec) -> Cost:
    """Place and add N elements; see ``_density`` for what a density takes."""
    n, ranged = numel(self), range is not None
    place = (_PLACE + 1) * n + (0 if ranged else 2 * reduction_ops(n, 1))
    return Cost(other_flops=place + _density(out, density))


@formula("aten::histogram.bins_tensor", "aten::histogram.bins_tensor_out")
def histogram_of_edges(self: TensorSpec, bins: TensorSpec, density: bool, out: TensorSpec) -> Cost:
    """Search the place of N elements among the edges, and add."""
    return Cost(other_flops=numel(self) * (log2_ceiling(numel(bins) + 1) + 1) + _density(out, density))


@formula("aten::_histogramdd_from_bin_cts")
def histogramdd(self: TensorSpec, bins: tuple[int, ...], range: object, density: bool, out: TensorSpec) -> Cost:
    """Place each of N points in each of its D dimensions, and add."""
    points, extremes = numel(self) // max(len(bins), 1), range is None
    place = _PLACE * numel(self) + points
    found = 2 * len(bins) * reduction_ops(points, 1) if extremes else 0
    return Cost(other_flops=place + found + _density(out, density))


@formula("aten::_histogramdd_from_bin_tensors")
def histogramdd_of_edges(self: TensorSpec, bins: tuple[TensorSpec, ...], density: bool, out: TensorSpec) -> Cost:
    """Search the place of each of N points in each of its D dimensions, and add."""
    points = numel(self) // max(len(bins), 1)
    steps = sum(log2_ceiling(numel(edges) + 1) for edges in bins)
    return Cost(other_flops=points * (steps + 1) + _density(out, density))


@formula("aten::_histogramdd_bin_edges")
def histogramdd_edges(self: TensorSpec, bins: tuple[int, ...], range: object) -> Cost:
    """Find the smallest and the largest in each dimension, unless a range is given; the edges are filled in."""
    points = numel(self) // max(len(bins), 1)
    return Cost(other_flops=2 * len(bins) * reduction_ops(points, 1) if range is None else 0)


def _density(hist: TensorSpec, density: bool) -> int:
    """Divide each of M bins by the total and by its width: M − 1 additions, M widths, M products, M quotients."""
    m = math.prod(hist.shape)
    return reduction_ops(m, 1) + 3 * m if density else 0
