"""Sampling at points that a tensor gives: ``grid_sample``, and the grid of an affine map.

With P points on d axes and C channels: what a point takes to be placed and weighted is counted once, what its
neighbours take for each channel. Tests for being inside, of the padding with zeros, are addressing.

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

#: Keeping a coordinate inside: two compares at the border; reflected there before by 10 (distance from the lower edge,
#: its remainder and its whole number of spans, whether that is odd, and the place counted from either edge).
_PADDING = {_ZEROS: 0, _BORDER: 2, _REFLECTION: 12}

#: The whole part, the rest, and one minus the rest.
LINEAR_WEIGHTS = 3
#: The whole part and the rest (2), and four cubic polynomials of its distances (25), of their derivatives 18.
_CUBIC_WEIGHTS, _CUBIC_SLOPES = 27, 18


@formula("aten::grid_sampler_2d", "aten::grid_sampler_3d", "aten::_grid_sampler_2d_cpu_fallback")
def grid_sampler(input: Shape, grid: Shape, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Cost:
    """Place each point of ``(B, …, d)`` in the input ``(B, C, …)``, and interpolate there.

    - linear: weights of the 2ᵈ corners from those of the axes; 2ᵈ multiplies and 2ᵈ − 1 adds for each channel
    - nearest: a rounding for each axis
    - cubic: 4 weights for each of two axes, 35 FLOPs for each channel; each of the neighbours is padded
    """
    points, d, channels = prod(grid[:-1]), grid[-1], input[1]
    placed = _placed(d, interpolation_mode, padding_mode, align_corners)
    return Cost(other_flops=points * (placed + channels * _interpolated(d, interpolation_mode)))


@formula("aten::grid_sampler_2d_backward", "aten::grid_sampler_3d_backward")
def grid_sampler_backward(
    input: Shape,
    grid: Shape,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
    output_mask: tuple[bool, ...],
) -> Cost:
    """Place each point anew, then spread its gradient over the neighbours, and sum the slopes there for the grid.

    For each neighbour and channel: to the input, the product with its weight (for cubic with two) and an add; to each
    of the d axes, d products (for cubic 3) and an add. For each axis a product with half the input's size.
    """
    points, d, channels = prod(grid[:-1]), grid[-1], input[1]
    of_input, of_grid = output_mask
    if interpolation_mode == _NEAREST:
        placed = _placed(d, interpolation_mode, padding_mode, align_corners)
        return Cost(other_flops=of_input * points * (placed + channels))
    cubic = interpolation_mode == _BICUBIC
    neighbours, weights, slopes = (16, 2, 3) if cubic else (_corners(d), 1, d)
    placed = _placed(d, interpolation_mode, padding_mode, align_corners, corners=of_input)
    spread = channels * neighbours * (weights + 1) * of_input
    sloped = d * (channels * neighbours * slopes + reduction_ops(channels * neighbours, 1) + 1 + _CUBIC_SLOPES * cubic)
    return Cost(other_flops=points * (placed + spread + sloped * of_grid))


@formula("aten::cudnn_grid_sampler")
def cudnn_grid_sampler(self: Shape, grid: Shape) -> Cost:
    """Sample linearly, with zeros outside and aligned corners, which is all that the library does."""
    return grid_sampler(self, grid, interpolation_mode=0, padding_mode=_ZEROS, align_corners=True)


@formula("aten::cudnn_grid_sampler_backward")
def cudnn_grid_sampler_backward(self: Shape, grid: Shape) -> Cost:
    """Give both gradients of the same."""
    return grid_sampler_backward(self, grid, 0, _ZEROS, align_corners=True, output_mask=(True, True))


@formula("aten::affine_grid_generator", "aten::cudnn_affine_grid_generator")
def affine_grid(theta: Shape, out: Shape) -> Cost:
    """Multiply every base point ``(x, y, 1)`` with the map *theta* ``(B, d, d + 1)``; the base grid is a table."""
    return Cost(macs=prod(out) * theta[2])


@formula("aten::cudnn_affine_grid_generator_backward")
def affine_grid_backward(grad: Shape) -> Cost:
    """Multiply the gradients ``(B, H, W, 2)`` with the base points ``(x, y, 1)``."""
    return Cost(macs=prod(grad) * 3)


def _placed(d: int, mode: int, padding: int, align_corners: bool, *, corners: bool = True) -> int:
    """Count what it takes to place and weight a point on d axes.

    From [−1, 1] to positions: ``(x + 1)/2·(n − 1)``, or ``((x + 1)·n − 1)/2`` where corners are not aligned.
    """
    scaled = 3 if align_corners else 4
    if mode == _BICUBIC:
        return d * (scaled + _CUBIC_WEIGHTS + 4 * _PADDING[padding])
    if mode == _NEAREST:
        return d * (scaled + _PADDING[padding] + 1)
    products = _corners(d) * (d - 1) * corners
    return d * (scaled + _PADDING[padding] + LINEAR_WEIGHTS) + products


def _interpolated(d: int, mode: int) -> int:
    """Count what each channel of a point takes."""
    if mode == _BICUBIC:
        return interpolate(4, d)
    return 0 if mode == _NEAREST else 2 * _corners(d) - 1


def _corners(d: int) -> int:
    """Count the corners of a cell."""
    return 1 << d
