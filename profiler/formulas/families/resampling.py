"""Upsampling, antialiased resizing, and ``col2im`` (``fold``).

An output is interpolated axis by axis from k neighbours on each of d axes, as nested sums ``Σ w·x``: k + k² + … + kᵈ
multiplies and kᵈ − 1 adds. The backward pass is the transpose: the same multiplies, and adds where several outputs read
one input. Positions and weights depend on the sizes only; they are tables, one per axis, and not counted. Nearest
neighbour interpolation only copies.

Source: aten/src/ATen/native/cpu/UpSampleKernel.cpp and cuda/UpSample*.cu of torch, for the order of the axes.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas import spatial_geometry
from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape

_LINEAR, _CUBIC, _LANCZOS = 2, 4, 6


@formula("aten::upsample_linear1d", "aten::upsample_bilinear2d", "aten::upsample_trilinear3d")
def upsample_linear(output_size: Shape, out: Shape) -> Cost:
    """Count 3 FLOPs per output in one dimension, 9 in two, 21 in three."""
    return Cost(other_flops=prod(out) * interpolate(_LINEAR, len(output_size)))


@formula("aten::upsample_bicubic2d")
def upsample_bicubic(out: Shape) -> Cost:
    """Count 35 FLOPs per output: 4 rows of 4 neighbours, then one column of 4."""
    return Cost(other_flops=prod(out) * interpolate(_CUBIC, 2))


@formula(
    "aten::upsample_linear1d_backward", "aten::upsample_bilinear2d_backward", "aten::upsample_trilinear3d_backward"
)
def upsample_linear_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose: 2 multiplies per gradient in one dimension, 6 in two, 14 in three, and the adds."""
    return _interpolated_backward(input_size, grad_output, _LINEAR, align_corners)


@formula("aten::upsample_bicubic2d_backward")
def upsample_bicubic_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose: 20 multiplies per gradient, and the adds."""
    return _interpolated_backward(input_size, grad_output, _CUBIC, align_corners)


@formula(
    "aten::upsample_nearest1d_backward",
    "aten::upsample_nearest2d_backward",
    "aten::upsample_nearest3d_backward",
    "aten::_upsample_nearest_exact1d_backward",
    "aten::_upsample_nearest_exact2d_backward",
    "aten::_upsample_nearest_exact3d_backward",
)
def upsample_nearest_backward(grad_output: Shape, input_size: Shape) -> Cost:
    """Count the adds that sum the gradients of all copies of an input.

    Upsampling a dimension copies every input at least once; downsampling copies no input more than once.
    """
    inputs = prod(min(sizes) for sizes in zip(input_size, grad_output, strict=True))
    return Cost(other_flops=reduction_ops(prod(grad_output), inputs))


@formula("aten::_upsample_bilinear2d_aa")
def upsample_bilinear_aa(self: Shape, align_corners: bool, out: Shape) -> Cost:
    """Count a triangle filter: two inputs wide, or, when downsampling, as wide as two outputs."""
    return _antialiased(self, out, _LINEAR, align_corners)


@formula("aten::_upsample_bicubic2d_aa")
def upsample_bicubic_aa(self: Shape, align_corners: bool, out: Shape) -> Cost:
    """Count a cubic filter, four wide."""
    return _antialiased(self, out, _CUBIC, align_corners)


@formula("aten::_upsample_lanczos2d_aa")
def upsample_lanczos_aa(self: Shape, align_corners: bool, out: Shape) -> Cost:
    """Count a Lanczos (windowed sinc) filter, six wide."""
    return _antialiased(self, out, _LANCZOS, align_corners)


@formula("aten::_upsample_bilinear2d_aa_backward")
def upsample_bilinear_aa_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose of the triangle filter: as many multiplies, and adds where filters overlap."""
    return _antialiased_backward(input_size, grad_output, _LINEAR, align_corners)


@formula("aten::_upsample_bicubic2d_aa_backward")
def upsample_bicubic_aa_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose of the cubic filter."""
    return _antialiased_backward(input_size, grad_output, _CUBIC, align_corners)


@formula("aten::_upsample_lanczos2d_aa_backward")
def upsample_lanczos_aa_backward(grad_output: Shape, input_size: Shape, align_corners: bool) -> Cost:
    """Count the transpose of the Lanczos filter."""
    return _antialiased_backward(input_size, grad_output, _LANCZOS, align_corners)


@formula("aten::col2im")
def col2im(self: Shape, output_size: Shape, kernel_size: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Cost:
    """Count the adds where several columns contribute to one element of the image; the padding is dropped.

    *self* is ``(…, C·Πk, L)``: L columns of Πk elements for each image and channel.
    """
    windows = []
    for length, kernel, gap, pad, step in zip(output_size, kernel_size, dilation, padding, stride, strict=True):
        columns = (length + 2 * pad - gap * (kernel - 1) - 1) // step + 1
        windows.append(spatial_geometry.strided(length, columns, kernel, step, pad, gap))
    return Cost(other_flops=prod(self[:-1]) // prod(kernel_size) * _shared(windows))


def interpolate(neighbours: int, dims: int) -> int:
    """Return the FLOPs of one output that is interpolated from *neighbours* inputs on each of *dims* axes."""
    return _multiplies(neighbours, dims) + prod([neighbours] * dims) - 1


def _multiplies(neighbours: int, dims: int) -> int:
    return sum(prod([neighbours] * d) for d in range(1, dims + 1))


def _interpolated_backward(inputs: Shape, outputs: Shape, count: int, align_corners: bool) -> Cost:
    """Count the forward's multiplies, and the adds; the input at a border counts once per repeated read."""
    sizes = list(zip(inputs[2:], outputs[2:], strict=True))
    windows = [spatial_geometry.neighbours(*size, count, align_corners=align_corners) for size in sizes]
    products = prod(outputs) * _multiplies(count, len(sizes))
    return Cost(other_flops=products + prod(outputs[:2]) * _shared(windows))


def _antialiased(inputs: Shape, outputs: Shape, width: int, align_corners: bool) -> Cost:
    """Count a filter along every row of the input, then every column: k multiplies and k − 1 adds per k inputs."""
    columns, rows = _filters(inputs, outputs, width, align_corners)
    each = inputs[-2] * (2 * spatial_geometry.reads(rows) - len(rows)) + len(rows) * (
        2 * spatial_geometry.reads(columns) - len(columns)
    )
    return Cost(other_flops=prod(inputs[:-2]) * each)


def _antialiased_backward(inputs: Shape, outputs: Shape, width: int, align_corners: bool) -> Cost:
    """Count the transposed filter along columns, then rows: as many multiplies, and adds where filters overlap."""
    columns, rows = _filters(inputs, outputs, width, align_corners)
    each = inputs[-2] * (spatial_geometry.reads(rows) + _shared([rows]))
    each += len(rows) * (spatial_geometry.reads(columns) + _shared([columns]))
    return Cost(other_flops=prod(inputs[:-2]) * each)


def _filters(
    inputs: Shape, outputs: Shape, width: int, align_corners: bool
) -> tuple[spatial_geometry.Windows, spatial_geometry.Windows]:
    """Return the inputs that the filter covers per output, along a column and along a row."""
    height, wide = (
        spatial_geometry.filtered(n, o, width, align_corners=align_corners)
        for n, o in zip(inputs[-2:], outputs[-2:], strict=True)
    )
    return height, wide


def _shared(windows: list[spatial_geometry.Windows]) -> int:
    """Return the adds of a transpose over several dimensions: the reads minus the distinct inputs read."""
    return prod(map(spatial_geometry.reads, windows)) - prod(map(spatial_geometry.distinct_inputs, windows))
