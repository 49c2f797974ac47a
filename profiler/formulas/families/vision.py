"""Detection operators of torchvision: regions pooled, boxes suppressed, and deformable convolution.

A sample between four inputs takes, on each axis, a whole part, a rest and one minus the rest (3), and 4 products for
the weights of the corners; then 4 multiplies and 3 adds for each channel, as in ``grid_sample``. Whether a position is
inside is addressing. Work that depends on where the boxes lie is an upper bound, and each function says which.

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

#: Of one box: both corners scaled to the map (4), its sizes (2), and the distances of samples on each axis (2).
_BOX = 8
#: For each channel of a sample: four products and their sum; and the transpose, where each product is added on zeros.
_SAMPLE, _SPREAD = 7, 8
_CORNERS = 4


@formula("torchvision::roi_align", "torchvision::qroi_align")
def roi_align(input: Shape, sampling_ratio: int, aligned: bool, out: Shape) -> Cost:
    """Sample each of the bins of each box at a grid of places, and average.

    Boxes shift by half an input where they are *aligned* (4), and are held to one input at least where not (2).
    Without a *sampling_ratio* each box is taken to cover the whole map: an upper bound for boxes within it.
    """
    grid = _grid(input, out, sampling_ratio)
    return Cost(other_flops=_located(out, grid, aligned) + prod(out) * prod(grid) * (_SAMPLE + 1))


@formula("torchvision::ps_roi_align")
def ps_roi_align(input: Shape, sampling_ratio: int, out: Shape) -> Cost:
    """Count the same; each bin of the result reads a channel of its own, and boxes are aligned."""
    return roi_align(input, sampling_ratio, aligned=True, out=out)


@formula("torchvision::_roi_align_backward")
def roi_align_backward(grad: Shape, sampling_ratio: int, aligned: bool, out: Shape) -> Cost:
    """Divide each gradient by its samples, and spread it over their corners."""
    grid = _grid(out, grad, sampling_ratio)
    return Cost(other_flops=_located(grad, grid, aligned) + prod(grad) * (1 + prod(grid) * _SPREAD))


@formula("torchvision::_ps_roi_align_backward")
def ps_roi_align_backward(grad: Shape, sampling_ratio: int, out: Shape) -> Cost:
    """Count the same, with boxes aligned."""
    return roi_align_backward(grad, sampling_ratio, aligned=True, out=out)


@formula("torchvision::roi_pool")
def roi_pool(input: Shape, out: Shape) -> Cost:
    """Compare the elements of each bin, each box taken to cover the whole map: an upper bound.

    Placing the bins is addressing, as in the rest of pooling.
    """
    return Cost(other_flops=reduction_ops(_binned(input, out), prod(out)))


@formula("torchvision::ps_roi_pool")
def ps_roi_pool(input: Shape, out: Shape) -> Cost:
    """Add the elements of each bin, and divide; boxes as before."""
    return Cost(other_flops=_binned(input, out))


@formula("torchvision::_roi_pool_backward")
def roi_pool_backward(grad: Shape) -> Cost:
    """Add each gradient to the input that was the largest."""
    return Cost(other_flops=prod(grad))


@formula("torchvision::_ps_roi_pool_backward")
def ps_roi_pool_backward(grad: Shape, out: Shape) -> Cost:
    """Divide each gradient, and add it to every element of its bin."""
    return Cost(other_flops=prod(grad) + _binned(out, grad))


@formula("torchvision::nms", "torchvision::qnms")
def nms(dets: Shape) -> Cost:
    """Compare each of n boxes with each that scores less: an upper bound, where no box suppresses another.

    The area of a box takes 3. A pair takes 13: 4 compares for the corners of the intersection, its sides held above
    zero (4) and their product, the union (2), the ratio, and its compare with the threshold. The scores are
    sorted first.
    """
    n = dets[0]
    return Cost(other_flops=3 * n + 13 * (n * (n - 1) // 2) + n * log2_ceiling(n))


@formula("torchvision::deform_conv2d")
def deform_conv2d(input: Shape, weight: Shape, offset_groups: int, use_mask: bool, out: Shape) -> Cost:
    """Count the MACs of a convolution, the samples that it multiplies, and the bias, which is always added.

    A place takes 2 to be offset; a mask is one multiply for each sample of each channel.

    Source: Zhu et al., "Deformable ConvNets v2", arXiv:1811.11168, equation 1.
    """
    places, samples = _sampled(input, weight, offset_groups, out)
    of_sample = _SAMPLE + use_mask
    return Cost(
        macs=prod(out) * prod(weight[1:]),
        other_flops=places * _PLACE + samples * of_sample + prod(out),
    )


@formula("torchvision::_deform_conv2d_backward")
def deform_conv2d_backward(grad: Shape, input: Shape, weight: Shape, offset_groups: int, use_mask: bool) -> Cost:
    """Count all gradients: of weight and samples as many MACs as the forward each, and what the samples pass on.

    For each sample of each channel: its value made anew (7, and 1 for the mask); the gradient masked (1) and spread
    over the corners (8); its slope on both axes (5 each), times the gradient, summed over the channels of an offset;
    the value times the gradient, summed likewise for the mask. The bias sums the gradients.
    """
    places, samples = _sampled(input, weight, offset_groups, grad)
    sums = 2 * (samples * 6 + reduction_ops(samples, places))
    masks = use_mask * (3 * samples + reduction_ops(samples, places))
    passed = samples * (_SAMPLE + _SPREAD) + sums + masks
    return Cost(
        macs=2 * prod(grad) * prod(weight[1:]),
        other_flops=places * _PLACE + passed + reduction_ops(prod(grad), grad[1]),
    )


#: Both coordinates offset, and what a sample takes once for all channels.
_PLACE = 2 + 2 * LINEAR_WEIGHTS + _CORNERS


def _grid(input: Shape, out: Shape, sampling_ratio: int) -> tuple[int, int]:
    """Give the samples of a bin on both axes."""
    if sampling_ratio > 0:
        return sampling_ratio, sampling_ratio
    return -(-input[2] // out[2]), -(-input[3] // out[3])


def _located(out: Shape, grid: tuple[int, int], aligned: bool) -> int:
    """Place the boxes, the rows and columns of their samples (a product, an add, held above zero), and weight them."""
    boxes, _, height, width = out
    along = height * grid[0] + width * grid[1]
    each = _BOX + (4 if aligned else 2) + along * (3 + LINEAR_WEIGHTS) + height * width * prod(grid) * _CORNERS
    return boxes * each


def _binned(input: Shape, out: Shape) -> int:
    """Count what all bins read where each box covers the map."""
    rows, columns = (spatial_geometry.adaptive(*sizes) for sizes in zip(input[2:], out[2:], strict=True))
    return prod(out[:2]) * spatial_geometry.reads(rows) * spatial_geometry.reads(columns)


def _sampled(input: Shape, weight: Shape, offset_groups: int, out: Shape) -> tuple[int, int]:
    """Count the places of a deformable convolution, each for all channels of an offset group; and all samples."""
    each = out[0] * prod(out[2:]) * prod(weight[2:])
    return each * offset_groups, each * input[1]
