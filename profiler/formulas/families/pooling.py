"""Pooling: windows that are averaged, or of which the largest is taken.

Windows count what they really hold: where one hangs over the border, the elements that are there; padding is neither
added nor compared, however the divisor treats it. An average of k elements is k − 1 adds and a divide, a maximum k − 1
compares. Backward, gradients are added where windows overlap. The forward's input is an argument there, but only its
size is needed.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from profiler.formulas import spatial_geometry
from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.values.records import Shape, TensorSpec


@formula("aten::avg_pool2d", "aten::avg_pool3d")
def avg_pool(self: Shape, kernel_size: Shape, stride: Shape, padding: Shape, out: Shape) -> Cost:
    """Count the adds and the divide of every window: as many operations as elements are read."""
    return Cost(other_flops=_strided(self, out, kernel_size, stride, padding).reads)


@formula("aten::avg_pool2d_backward", "aten::avg_pool3d_backward")
def avg_pool_backward(grad_output: TensorSpec, self: Shape, kernel_size: Shape, stride: Shape, padding: Shape) -> Cost:
    """Divide each gradient, and give it to every element of its window."""
    return _average_backward(grad_output, _strided(self, grad_output.shape, kernel_size, stride, padding))


@formula(
    "aten::max_pool2d_with_indices",
    "aten::max_pool3d_with_indices",
    "aten::mkldnn_max_pool2d",
    "aten::mkldnn_max_pool3d",
    "aten::quantized_max_pool1d",
    "aten::quantized_max_pool2d",
    "aten::quantized_max_pool3d",
)
def max_pool(self: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape, out: Shape) -> Cost:
    """Compare every element of a window but the first; keeping its index takes no further compare."""
    return Cost(other_flops=reduction_ops(_strided(self, out, kernel_size, stride, padding, dilation).reads, prod(out)))


@formula("aten::max_pool2d_with_indices_backward", "aten::max_pool3d_with_indices_backward")
def max_pool_backward(
    grad_output: TensorSpec,
    self: Shape,
    kernel_size: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    indices: TensorSpec,
) -> Cost:
    """Give each gradient to the input that was the largest."""
    windows = _strided(self, grad_output.shape, kernel_size, stride, padding, dilation)
    return Cost(other_flops=_winners(grad_output.shape, windows), bytes_read=grad_output.bytes + indices.bytes)


@formula("aten::mkldnn_max_pool2d_backward", "aten::mkldnn_max_pool3d_backward")
def mkldnn_max_pool_backward(
    grad_output: Shape, input: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape
) -> Cost:
    """Give each gradient to the input that was the largest, which the library finds from input and output."""
    windows = _strided(input, grad_output, kernel_size, stride, padding, dilation)
    return Cost(other_flops=_winners(grad_output, windows))


@formula("aten::_adaptive_avg_pool2d", "aten::_adaptive_avg_pool3d", "aten::mkldnn_adaptive_avg_pool2d")
def adaptive_avg_pool(self: Shape, out: Shape) -> Cost:
    """Count the adds and the divide of every window; their sizes vary with the place."""
    return Cost(other_flops=_adaptive(self, out).reads)


@formula(
    "aten::_adaptive_avg_pool2d_backward",
    "aten::_adaptive_avg_pool3d_backward",
    "aten::mkldnn_adaptive_avg_pool2d_backward",
)
def adaptive_avg_pool_backward(grad_output: TensorSpec, self: Shape) -> Cost:
    """Divide each gradient, and give it to every element of its window."""
    return _average_backward(grad_output, _adaptive(self, grad_output.shape))


@formula("aten::adaptive_max_pool2d", "aten::adaptive_max_pool3d")
def adaptive_max_pool(self: Shape, out: Shape) -> Cost:
    """Compare every element of a window but the first."""
    return Cost(other_flops=reduction_ops(_adaptive(self, out).reads, prod(out)))


@formula("aten::adaptive_max_pool2d_backward", "aten::adaptive_max_pool3d_backward")
def adaptive_max_pool_backward(grad_output: TensorSpec, self: Shape, indices: TensorSpec) -> Cost:
    """Give each gradient to the input that was the largest."""
    windows = _adaptive(self, grad_output.shape)
    return Cost(other_flops=_winners(grad_output.shape, windows), bytes_read=grad_output.bytes + indices.bytes)


@formula("aten::fractional_max_pool2d", "aten::fractional_max_pool3d")
def fractional_max_pool(kernel_size: Shape, out: Shape) -> Cost:
    """Compare within windows that lie at random places, always whole."""
    return Cost(other_flops=prod(out) * (prod(kernel_size) - 1))


@formula("aten::fractional_max_pool2d_backward", "aten::fractional_max_pool3d_backward")
def fractional_max_pool_backward(grad_output: TensorSpec, indices: TensorSpec) -> Cost:
    """Add each gradient to the input that was the largest: an upper bound, as windows may overlap."""
    return Cost(other_flops=prod(grad_output.shape), bytes_read=grad_output.bytes + indices.bytes)


class Pooled(NamedTuple):
    """All windows of a call."""

    #: Elements that they read in all.
    reads: int
    #: Elements that any of them reads.
    reached: int


def _strided(
    inputs: Shape, outputs: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape = (1,)
) -> Pooled:
    """Slide windows over the last dimensions; without a stride they lie side by side."""
    dims = max(len(kernel_size), len(stride), len(padding), len(dilation))
    settings = (kernel_size, stride or kernel_size, padding, dilation)
    along = zip(inputs[-dims:], outputs[-dims:], *(_each(setting, dims) for setting in settings), strict=True)
    windows, planes = [spatial_geometry.strided(*numbers) for numbers in along], prod(inputs[:-dims])
    return Pooled(
        planes * prod(map(spatial_geometry.reads, windows)), planes * prod(map(spatial_geometry.reached, windows))
    )


def _adaptive(inputs: Shape, outputs: Shape) -> Pooled:
    """Part every dimension among the outputs; samples and channels, as many as before, are one window each."""
    windows = [spatial_geometry.adaptive(*sizes) for sizes in zip(inputs, outputs, strict=True)]
    return Pooled(prod(map(spatial_geometry.reads, windows)), prod(map(spatial_geometry.reached, windows)))


def _average_backward(grad_output: TensorSpec, windows: Pooled) -> Cost:
    """Divide, and sum what several windows give to one element; of the operands only the gradient is read."""
    return Cost(
        other_flops=prod(grad_output.shape) + reduction_ops(windows.reads, windows.reached),
        bytes_read=grad_output.bytes,
    )


def _winners(gradients: Shape, windows: Pooled) -> int:
    """Count an add for each gradient, where windows overlap: an upper bound. Where they do not, it is moved."""
    return prod(gradients) if windows.reads > windows.reached else 0


def _each(value: Sequence[int], dims: int) -> Sequence[int]:
    """Repeat a single number for every dimension."""
    return tuple(value) * dims if len(value) == 1 else value
