"""``grid_sample``, which samples at the points of a grid, and ``affine_grid``, which makes such a grid.

Legend: P points of d coordinates, C channels. Locating a point and computing its weights counts once per point,
combining its neighbours once per channel. The checks of zero padding whether a point is inside are addressing, and not
counted.

Source: aten/src/ATen/native/GridSampler.h and GridSampler.cpp of torch, for modes, paddings and derivatives.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.resampling import interpolate
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape

_NEAREST, _BICUBIC = 1, 2
_ZEROS, _BORDER, _REFLECTION = 0, 1, 2

#: FLOPs to bring a coordinate inside, by padding mode. Border padding takes two compares. Reflection takes 10 more: the
#: distance from the lower edge, its quotient and remainder by the span, the parity of the quotient, and the position
#: counted from either edge.
_PADDING = {_ZEROS: 0, _BORDER: 2, _REFLECTION: 12}

#: Per axis: the integer part, the fraction, and one minus the fraction.
LINEAR_WEIGHTS = 3
#: Per axis: integer part and fraction (2), and four cubic polynomials of the distances (25). Their derivatives take 18.
_CUBIC_WEIGHTS, _CUBIC_SLOPES = 27, 18


@formula("aten::grid_sampler_2d", "aten::grid_sampler_3d", "aten::_grid_sampler_2d_cpu_fallback")
def grid_sampler(input: Shape, grid: Shape, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Cost:
    """Count locating each point of ``(B, …, d)`` in the input ``(B, C, …)``, and interpolating there.

    - linear: the weights of the 2ᵈ corners are products of those of the axes; 2ᵈ multiplies, 2ᵈ − 1 adds per channel
    - nearest: a rounding per axis
    - cubic: 4 weights for each of two axes, 35 FLOPs per channel; the padding applies to every neighbour
    """
    points, d, channels = prod(grid[:-1]), grid[-1], input[1]
    location = _location_flops(d, interpolation_mode, padding_mode, align_corners)
    return Cost(other_flops=points * (location + channels * _channel_flops(d, interpolation_mode)))


@formula("aten::grid_sampler_2d_backward", "aten::grid_sampler_3d_backward")
def grid_sampler_backward(
    input: Shape,
    grid: Shape,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
    output_mask: tuple[bool, ...],
) -> Cost:
    """Count locating each point again, and the gradients of input and grid selected by *output_mask*.

    Per neighbour and channel, the gradient of the input takes a product with the weight (cubic: with two) and an add;
    the gradient of each coordinate takes d products (cubic: 3) and an add. Each coordinate also takes a product with
    half the input's size.
    """
    points, d, channels = prod(grid[:-1]), grid[-1], input[1]
    of_input, of_grid = output_mask
    if interpolation_mode == _NEAREST:
        location = _location_flops(d, interpolation_mode, padding_mode, align_corners)
        return Cost(other_flops=of_input * points * (location + channels))
    cubic = interpolation_mode == _BICUBIC
    neighbours, weights, slopes = (16, 2, 3) if cubic else (_corners(d), 1, d)
    location = _location_flops(d, interpolation_mode, padding_mode, align_corners, corners=of_input)
    input_flops = channels * neighbours * (weights + 1)
    terms = channels * neighbours
    grid_flops = d * (terms * slopes + reduction_ops(terms, 1) + 1 + _CUBIC_SLOPES * cubic)
    return Cost(other_flops=points * (location + input_flops * of_input + grid_flops * of_grid))


@formula("aten::cudnn_grid_sampler")
def cudnn_grid_sampler(self: Shape, grid: Shape) -> Cost:
    """Count a linear ``grid_sample`` with zero padding and aligned corners, the only mode of cuDNN."""
    return grid_sampler(self, grid, interpolation_mode=0, padding_mode=_ZEROS, align_corners=True)


@formula("aten::cudnn_grid_sampler_backward")
def cudnn_grid_sampler_backward(self: Shape, grid: Shape) -> Cost:
    """Count both gradients of cuDNN's ``grid_sample``."""
    return grid_sampler_backward(self, grid, 0, _ZEROS, align_corners=True, output_mask=(True, True))


@formula("aten::affine_grid_generator", "aten::cudnn_affine_grid_generator")
def affine_grid(theta: Shape, out: Shape) -> Cost:
    """Count multiplying every base point ``(x, y, 1)`` by *theta* ``(B, d, d + 1)``; the base grid is not computed."""
    return Cost(macs=prod(out) * theta[2])


@formula("aten::cudnn_affine_grid_generator_backward")
def affine_grid_backward(grad: Shape) -> Cost:
    """Count multiplying the gradients ``(B, H, W, 2)`` by the base points ``(x, y, 1)``."""
    return Cost(macs=prod(grad) * 3)


def _location_flops(d: int, mode: int, padding: int, align_corners: bool, *, corners: bool = True) -> int:
    """Count the FLOPs per point to compute its position and weights on d axes.

    A coordinate in [−1, 1] becomes ``(x + 1)/2·(n − 1)``, or ``((x + 1)·n − 1)/2`` if corners are not aligned.
    """
    scaling = 3 if align_corners else 4
    if mode == _BICUBIC:
        return d * (scaling + _CUBIC_WEIGHTS + 4 * _PADDING[padding])
    if mode == _NEAREST:
        return d * (scaling + _PADDING[padding] + 1)
    products = _corners(d) * (d - 1) * corners
    return d * (scaling + _PADDING[padding] + LINEAR_WEIGHTS) + products


def _channel_flops(d: int, mode: int) -> int:
    """Count the FLOPs per channel of a point to combine its neighbours."""
    if mode == _BICUBIC:
        return interpolate(4, d)
    return 0 if mode == _NEAREST else 2 * _corners(d) - 1


def _corners(d: int) -> int:
    """Count the corners of a cell of d dimensions."""
    return 1 << d
