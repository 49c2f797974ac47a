"""Interpolation to another size, sampling at given points, padding backward, and folding.

An output is interpolated axis by axis from k neighbours on each of d axes, ``Σ w·x`` within ``Σ w·x``: k + k² + … + kᵈ
multiplies and kᵈ − 1 adds. Backward is the transpose: the same multiplies, and kᵈ adds onto zeros. Where positions and
weights follow from the sizes alone they are tables, one for each axis, and not counted; where they come from a tensor
they are. Whether a position is inside is addressing. Nearest neighbours are moved, not computed.

Source: aten/src/ATen/native/cpu/UpSampleKernel.cpp and cuda/UpSample*.cu of torch, for the order of the axes.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, prod
from typing import TYPE_CHECKING

from profiler.formulas.pooling import strided_reads
from profiler.formulas.registry import formula
from profiler.records import Cost

if TYPE_CHECKING:
    from profiler.records import Shape, TensorSpec

_LINEAR, _CUBIC, _LANCZOS = 2, 4, 6


@formula("aten::upsample_linear1d", "aten::upsample_bilinear2d", "aten::upsample_trilinear3d")
def upsample_linear(output_size: Shape, out: Shape) -> Cost:
    """Count 3 FLOPs for each output in one dimension, 9 in two, 21 in three."""
    return Cost(other_flops=prod(out) * interpolate(_LINEAR, len(output_size)))


@formula("aten::upsample_bicubic2d")
def upsample_bicubic(out: Shape) -> Cost:
    """Count 35 FLOPs for each output: 4 rows of 4 neighbours, and their column."""
    return Cost(other_flops=prod(out) * interpolate(_CUBIC, 2))


@formula(
    "aten::upsample_linear1d_backward", "aten::upsample_bilinear2d_backward", "aten::upsample_trilinear3d_backward"
)
def upsample_linear_backward(grad_output: Shape, output_size: Shape) -> Cost:
    """Count 4 FLOPs for each gradient in one dimension, 10 in two, 22 in three."""
    return Cost(other_flops=prod(grad_output) * (interpolate(_LINEAR, len(output_size)) + 1))


@formula("aten::upsample_bicubic2d_backward")
def upsample_bicubic_backward(grad_output: Shape) -> Cost:
    """Count 36 FLOPs for each gradient."""
    return Cost(other_flops=prod(grad_output) * (interpolate(_CUBIC, 2) + 1))


@formula(
    "aten::upsample_nearest1d_backward",
    "aten::upsample_nearest2d_backward",
    "aten::upsample_nearest3d_backward",
    "aten::_upsample_nearest_exact1d_backward",
    "aten::_upsample_nearest_exact2d_backward",
    "aten::_upsample_nearest_exact3d_backward",
)
def upsample_nearest_backward(grad_output: Shape) -> Cost:
    """Add each gradient to the input that was copied."""
    return Cost(other_flops=prod(grad_output))


@formula(
    "aten::reflection_pad1d_backward",
    "aten::reflection_pad2d_backward",
    "aten::reflection_pad3d_backward",
    "aten::replication_pad1d_backward",
    "aten::replication_pad2d_backward",
    "aten::replication_pad3d_backward",
)
def pad_backward(grad_output: TensorSpec) -> Cost:
    """Add each gradient to the input that was copied; of the input itself only the size is needed."""
    return Cost(other_flops=prod(grad_output.shape), bytes_read=grad_output.bytes)


@formula("aten::_upsample_bilinear2d_aa")
def upsample_bilinear_aa(self: Shape, align_corners: bool, out: Shape) -> Cost:
    """Filter with a triangle two inputs wide, or as many as two outputs cover where it shrinks."""
    return _antialiased(self, out, _LINEAR, align_corners)


@formula("aten::_upsample_bicubic2d_aa")
def upsample_bicubic_aa(self: Shape, align_corners: bool, out: Shape) -> Cost:
    """Filter with a cubic four wide."""
    return _antialiased(self, out, _CUBIC, align_corners)


@formula("aten::_upsample_lanczos2d_aa")
def upsample_lanczos_aa(self: Shape, align_corners: bool, out: Shape) -> Cost:
    """Filter with a windowed sinc six wide."""
    return _antialiased(self, out, _LANCZOS, align_corners)


@formula("aten::_upsample_bilinear2d_aa_backward")
def upsample_bilinear_aa_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose: as many multiplies, and an add for each onto zeros."""
    return _antialiased_backward(input_size, grad_output, _LINEAR, align_corners)


@formula("aten::_upsample_bicubic2d_aa_backward")
def upsample_bicubic_aa_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose of the cubic filter."""
    return _antialiased_backward(input_size, grad_output, _CUBIC, align_corners)


@formula("aten::_upsample_lanczos2d_aa_backward")
def upsample_lanczos_aa_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose of the windowed sinc."""
    return _antialiased_backward(input_size, grad_output, _LANCZOS, align_corners)


@formula("aten::col2im")
def col2im(self: Shape, output_size: Shape, kernel_size: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Cost:
    """Add every column element that lies within the image to its place, onto zeros; *self* is ``(…, C·Πk, L)``."""
    reads = 1
    for length, kernel, gap, pad, step in zip(output_size, kernel_size, dilation, padding, stride, strict=True):
        places = (length + 2 * pad - gap * (kernel - 1) - 1) // step + 1
        reads *= strided_reads(length, places, kernel, step, pad, gap)
    return Cost(other_flops=prod(self[:-1]) // prod(kernel_size) * reads)


def interpolate(neighbours: int, dims: int) -> int:
    """Count the FLOPs of one output from *neighbours* on each of *dims* axes, axis by axis."""
    powers = [int(neighbours**d) for d in range(1, dims + 1)]
    return sum(powers) + powers[-1] - 1


def filtered_reads(length: int, outputs: int, width: int, *, align_corners: bool) -> int:
    """Count the inputs that an antialiasing filter reads along one dimension, for all outputs.

    An input is read whose centre lies within ``width/2`` of the output's, measured in inputs where it enlarges and in
    outputs where it shrinks. A ``scale_factor`` is taken to be what the two sizes say.

    Source: _compute_indices_min_size_weights_aa in torch's aten/src/ATen/native/cpu/UpSampleKernel.cpp.
    """
    scale = Fraction(length, outputs)
    if align_corners:
        scale = Fraction(length - 1, outputs - 1) if outputs > 1 else Fraction(0)
    reach = Fraction(width, 2) * max(scale, Fraction(1))
    centres = [scale * (2 * o + 1) / 2 - Fraction(1, 2) for o in range(outputs)]
    return sum(min(ceil(c + reach), length) - max(floor(c - reach) + 1, 0) for c in centres)


def _antialiased(inputs: Shape, outputs: Shape, width: int, align_corners: bool) -> Cost:
    """Filter every row of the input, then every column of that: k multiplies and k − 1 adds from k inputs."""
    (height, wide), (new_height, new_wide) = inputs[-2:], outputs[-2:]
    rows = filtered_reads(wide, new_wide, width, align_corners=align_corners)
    columns = filtered_reads(height, new_height, width, align_corners=align_corners)
    each = height * (2 * rows - new_wide) + new_wide * (2 * columns - new_height)
    return Cost(other_flops=prod(inputs[:-2]) * each)


def _antialiased_backward(inputs: Shape, outputs: Shape, width: int, align_corners: bool) -> Cost:
    (height, wide), (new_height, new_wide) = inputs[-2:], outputs[-2:]
    rows = filtered_reads(wide, new_wide, width, align_corners=align_corners)
    columns = filtered_reads(height, new_height, width, align_corners=align_corners)
    return Cost(other_flops=prod(inputs[:-2]) * 2 * (height * rows + new_wide * columns))
