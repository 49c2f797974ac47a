"""Detection operators of torchvision: RoI pooling, non-maximum suppression and deformable convolution.

A bilinear sample takes, on each axis, a floor, the fraction and one minus the fraction (3), and 4 multiplies for the
weights of the corners; then 4 multiplies and 3 adds per channel, as in ``grid_sample``. Bounds checks are addressing
and not counted. Work that depends on the positions of the boxes is an upper bound; the function says which.

Source: torchvision/csrc/ops/cpu/*.cpp.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas import spatial_geometry
from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.grid_sampling import LINEAR_WEIGHTS
from profiler.formulas.families.sorting import log2_ceiling
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape

#: FLOPs of one box: both corners scaled to the feature map (4), its size (2), the sample spacing on each axis (2).
_BOX = 8
#: FLOPs per channel of a sample: four multiplies and their sum; of the transpose, four multiplies and four adds.
_SAMPLE, _SPREAD = 7, 8
_CORNERS = 4


@formula("torchvision::roi_align", "torchvision::qroi_align")
def roi_align(input: Shape, sampling_ratio: int, aligned: bool, out: Shape) -> Cost:
    """Count a grid of bilinear samples per bin of each box, and their average.

    *aligned* boxes are shifted by half a pixel (4 FLOPs); others are clamped to at least one pixel (2). Without a
    *sampling_ratio* each box is assumed to cover the whole map: an upper bound for boxes inside it.
    """
    grid = _grid(input, out, sampling_ratio)
    return Cost(other_flops=_placement_flops(out, grid, aligned) + prod(out) * prod(grid) * (_SAMPLE + 1))


@formula("torchvision::ps_roi_align")
def ps_roi_align(input: Shape, sampling_ratio: int, out: Shape) -> Cost:
    """Count ``roi_align`` with aligned boxes, where each bin reads its own channel."""
    return roi_align(input, sampling_ratio, aligned=True, out=out)


@formula("torchvision::_roi_align_backward")
def roi_align_backward(grad: Shape, sampling_ratio: int, aligned: bool, out: Shape) -> Cost:
    """Count one divide per gradient, and its bilinear spread to the corners of each sample."""
    grid = _grid(out, grad, sampling_ratio)
    return Cost(other_flops=_placement_flops(grad, grid, aligned) + prod(grad) * (1 + prod(grid) * _SPREAD))


@formula("torchvision::_ps_roi_align_backward")
def ps_roi_align_backward(grad: Shape, sampling_ratio: int, out: Shape) -> Cost:
    """Count ``roi_align_backward`` with aligned boxes."""
    return roi_align_backward(grad, sampling_ratio, aligned=True, out=out)


@formula("torchvision::roi_pool")
def roi_pool(input: Shape, out: Shape) -> Cost:
    """Count the compares in each bin, assuming that each box covers the whole map: an upper bound.

    Computing the positions of the bins is addressing, as in other pooling.
    """
    return Cost(other_flops=reduction_ops(_bin_reads(input, out), prod(out)))


@formula("torchvision::ps_roi_pool")
def ps_roi_pool(input: Shape, out: Shape) -> Cost:
    """Count the average of each bin, assuming that each box covers the whole map: an upper bound."""
    return Cost(other_flops=_bin_reads(input, out))


@formula("torchvision::_roi_pool_backward")
def roi_pool_backward(grad: Shape) -> Cost:
    """Count one add per gradient, to the maximum of its bin."""
    return Cost(other_flops=prod(grad))


@formula("torchvision::_ps_roi_pool_backward")
def ps_roi_pool_backward(grad: Shape, out: Shape) -> Cost:
    """Count one divide per gradient, and one add per element of its bin (an upper bound, as in the forward pass)."""
    return Cost(other_flops=prod(grad) + _bin_reads(out, grad))


@formula("torchvision::nms", "torchvision::qnms")
def nms(dets: Shape) -> Cost:
    """Count the IoU of each pair of n boxes: an upper bound, reached if no box suppresses another.

    The area of a box takes 3 FLOPs. A pair takes 13: 4 compares for the corners of the intersection, its sides clamped
    at zero (4) and their product, the union (2), the ratio, and the compare with the threshold. The scores are sorted
    first.
    """
    n = dets[0]
    return Cost(other_flops=3 * n + 13 * (n * (n - 1) // 2) + n * log2_ceiling(n))


@formula("torchvision::deform_conv2d")
def deform_conv2d(input: Shape, weight: Shape, offset_groups: int, use_mask: bool, out: Shape) -> Cost:
    """Count the MACs of a convolution, its bilinear samples, and the bias, which is always added.

    Offsetting a position takes 2 adds; a mask takes one multiply per sample and channel.

    Source: Zhu et al., "Deformable ConvNets v2", arXiv:1811.11168, equation 1.
    """
    positions, samples = _samples(input, weight, offset_groups, out)
    return Cost(
        macs=prod(out) * prod(weight[1:]),
        other_flops=positions * _POSITION + samples * (_SAMPLE + use_mask) + prod(out),
    )


@formula("torchvision::_deform_conv2d_backward")
def deform_conv2d_backward(grad: Shape, input: Shape, weight: Shape, offset_groups: int, use_mask: bool) -> Cost:
    """Count all gradients: those of weight and samples take as many MACs as the forward each.

    Each sample and channel takes: the value, computed again (7, and 1 for the mask); the gradient, masked (1) and
    spread to the corners (8); the slope on both axes (5 each) times the gradient, summed over the channels of an offset
    group; the value times the gradient, summed likewise for the mask. The gradient of the bias is a sum.
    """
    positions, samples = _samples(input, weight, offset_groups, grad)
    offsets = 2 * (samples * 6 + reduction_ops(samples, positions))
    masks = use_mask * (3 * samples + reduction_ops(samples, positions))
    inputs = samples * (_SAMPLE + _SPREAD)
    return Cost(
        macs=2 * prod(grad) * prod(weight[1:]),
        other_flops=positions * _POSITION + inputs + offsets + masks + reduction_ops(prod(grad), grad[1]),
    )


#: FLOPs per position, once for all channels: offset of both coordinates, weights of both axes and of the corners.
_POSITION = 2 + 2 * LINEAR_WEIGHTS + _CORNERS


def _grid(input: Shape, out: Shape, sampling_ratio: int) -> tuple[int, int]:
    """Return the samples per bin on both axes."""
    if sampling_ratio > 0:
        return sampling_ratio, sampling_ratio
    return -(-input[2] // out[2]), -(-input[3] // out[3])


def _placement_flops(out: Shape, grid: tuple[int, int], aligned: bool) -> int:
    """Return the FLOPs to place all boxes and samples: coordinates (multiply, add, clamp) and interpolation weights."""
    boxes, _, height, width = out
    coordinates = height * grid[0] + width * grid[1]
    each = _BOX + (4 if aligned else 2) + coordinates * (3 + LINEAR_WEIGHTS) + height * width * prod(grid) * _CORNERS
    return boxes * each


def _bin_reads(input: Shape, out: Shape) -> int:
    """Return the elements read by all bins if each box covers the whole map."""
    rows, columns = (spatial_geometry.adaptive(*sizes) for sizes in zip(input[2:], out[2:], strict=True))
    return prod(out[:2]) * spatial_geometry.reads(rows) * spatial_geometry.reads(columns)


def _samples(input: Shape, weight: Shape, offset_groups: int, out: Shape) -> tuple[int, int]:
    """Return the sample positions of a deformable convolution, over offset groups, and samples, over channels."""
    each = out[0] * prod(out[2:]) * prod(weight[2:])
    return each * offset_groups, each * input[1]
