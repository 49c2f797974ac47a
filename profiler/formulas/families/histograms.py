"""Histograms, which add each element to a bin.

The bin is computed if bins have equal width: two compares with the range, a subtract, a multiply and a floor. Otherwise
it is found by binary search among the edges. Adding to the bin takes one more FLOP.
"""

from __future__ import annotations

import math

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.families.sorting import log2_ceiling
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Number, TensorSpec

#: FLOPs to compute the bin of an element, for bins of equal width.
_BIN_FLOPS = 5


@formula("aten::bincount")
def bincount(self: TensorSpec) -> Cost:
    """Count the maximum of N numbers, which determines the number of bins, and adding each to its bin."""
    return Cost(other_flops=reduction_ops(numel(self), 1) + numel(self))


@formula("aten::histc")
def histc(self: TensorSpec, min: Number, max: Number) -> Cost:
    """Count binning N elements; if *min* and *max* are both 0, also the minimum and maximum of the elements."""
    n, ranged = numel(self), not min == max == 0
    return Cost(other_flops=(_BIN_FLOPS + 1) * n + (0 if ranged else 2 * reduction_ops(n, 1)))


@formula("aten::histogram.bin_ct", "aten::histogram.bin_ct_out")
def histogram(self: TensorSpec, range: object, density: bool, out: TensorSpec) -> Cost:
    """Count binning N elements into bins of equal width; without a range, also their minimum and maximum."""
    n, ranged = numel(self), range is not None
    binning = (_BIN_FLOPS + 1) * n + (0 if ranged else 2 * reduction_ops(n, 1))
    return Cost(other_flops=binning + _density_flops(out, density))


@formula("aten::histogram.bins_tensor", "aten::histogram.bins_tensor_out")
def histogram_of_edges(self: TensorSpec, bins: TensorSpec, density: bool, out: TensorSpec) -> Cost:
    """Count binning N elements by binary search among the edges."""
    return Cost(other_flops=numel(self) * (log2_ceiling(numel(bins) + 1) + 1) + _density_flops(out, density))


@formula("aten::_histogramdd_from_bin_cts")
def histogramdd(self: TensorSpec, bins: tuple[int, ...], range: object, density: bool, out: TensorSpec) -> Cost:
    """Count binning N points of D dimensions into bins of equal width; without a range, also minima and maxima."""
    points = numel(self) // max(len(bins), 1)
    binning = _BIN_FLOPS * numel(self) + points
    extrema = 2 * len(bins) * reduction_ops(points, 1) if range is None else 0
    return Cost(other_flops=binning + extrema + _density_flops(out, density))


@formula("aten::_histogramdd_from_bin_tensors")
def histogramdd_of_edges(self: TensorSpec, bins: tuple[TensorSpec, ...], density: bool, out: TensorSpec) -> Cost:
    """Count binning N points of D dimensions by binary search among the edges of each dimension."""
    points = numel(self) // max(len(bins), 1)
    steps = sum(log2_ceiling(numel(edges) + 1) for edges in bins)
    return Cost(other_flops=points * (steps + 1) + _density_flops(out, density))


@formula("aten::_histogramdd_bin_edges")
def histogramdd_edges(self: TensorSpec, bins: tuple[int, ...], range: object) -> Cost:
    """Count the minimum and maximum of each dimension if there is no range; computing the edges is not counted."""
    points = numel(self) // max(len(bins), 1)
    return Cost(other_flops=2 * len(bins) * reduction_ops(points, 1) if range is None else 0)


def _density_flops(hist: TensorSpec, density: bool) -> int:
    """Count dividing M bins by their total and widths: M − 1 adds, M subtracts, M multiplies, M divides."""
    m = math.prod(hist.shape)
    return reduction_ops(m, 1) + 3 * m if density else 0
