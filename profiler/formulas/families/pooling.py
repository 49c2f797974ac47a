"""Average and max pooling: strided, adaptive and fractional.

Only elements inside the input count: padding is neither added nor compared, whatever the divisor of the average is.
An average of k elements takes k − 1 adds and a divide, a maximum k − 1 compares. The backward pass adds gradients where
windows overlap; it takes the forward's input as an argument but reads only its size.
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
    """Count k − 1 adds and a divide per window: one FLOP per element read."""
    return Cost(other_flops=_strided(self, out, kernel_size, stride, padding).reads)


@formula("aten::avg_pool2d_backward", "aten::avg_pool3d_backward")
def avg_pool_backward(grad_output: TensorSpec, self: Shape, kernel_size: Shape, stride: Shape, padding: Shape) -> Cost:
    """Count one divide per gradient, and the adds where windows overlap."""
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
    """Count k − 1 compares per window; tracking the index of the maximum takes no further compare."""
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
    """Count at most one add per gradient, which goes to the maximum of its window."""
    windows = _strided(self, grad_output.shape, kernel_size, stride, padding, dilation)
    return Cost(
        other_flops=_max_backward_adds(grad_output.shape, windows), bytes_read=grad_output.bytes + indices.bytes
    )


@formula("aten::mkldnn_max_pool2d_backward", "aten::mkldnn_max_pool3d_backward")
def mkldnn_max_pool_backward(
    grad_output: Shape, input: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape
) -> Cost:
    """Count at most one add per gradient; oneDNN finds the maximum from input and output instead of indices."""
    windows = _strided(input, grad_output, kernel_size, stride, padding, dilation)
    return Cost(other_flops=_max_backward_adds(grad_output, windows))


@formula("aten::_adaptive_avg_pool2d", "aten::_adaptive_avg_pool3d", "aten::mkldnn_adaptive_avg_pool2d")
def adaptive_avg_pool(self: Shape, out: Shape) -> Cost:
    """Count one FLOP per element read; the window size varies with the position."""
    return Cost(other_flops=_adaptive(self, out).reads)


@formula(
    "aten::_adaptive_avg_pool2d_backward",
    "aten::_adaptive_avg_pool3d_backward",
    "aten::mkldnn_adaptive_avg_pool2d_backward",
)
def adaptive_avg_pool_backward(grad_output: TensorSpec, self: Shape) -> Cost:
    """Count one divide per gradient, and the adds where windows overlap."""
    return _average_backward(grad_output, _adaptive(self, grad_output.shape))


@formula("aten::adaptive_max_pool2d", "aten::adaptive_max_pool3d")
def adaptive_max_pool(self: Shape, out: Shape) -> Cost:
    """Count k − 1 compares per window; the window size varies with the position."""
    return Cost(other_flops=reduction_ops(_adaptive(self, out).reads, prod(out)))


@formula("aten::adaptive_max_pool2d_backward", "aten::adaptive_max_pool3d_backward")
def adaptive_max_pool_backward(grad_output: TensorSpec, self: Shape, indices: TensorSpec) -> Cost:
    """Count at most one add per gradient, which goes to the maximum of its window."""
    windows = _adaptive(self, grad_output.shape)
    return Cost(
        other_flops=_max_backward_adds(grad_output.shape, windows), bytes_read=grad_output.bytes + indices.bytes
    )


@formula("aten::fractional_max_pool2d", "aten::fractional_max_pool3d")
def fractional_max_pool(kernel_size: Shape, out: Shape) -> Cost:
    """Count k − 1 compares per window; windows lie at random positions, always inside the input."""
    return Cost(other_flops=prod(out) * (prod(kernel_size) - 1))


@formula("aten::fractional_max_pool2d_backward", "aten::fractional_max_pool3d_backward")
def fractional_max_pool_backward(grad_output: TensorSpec, indices: TensorSpec) -> Cost:
    """Count one add per gradient: an upper bound, since random windows need not overlap."""
    return Cost(other_flops=prod(grad_output.shape), bytes_read=grad_output.bytes + indices.bytes)


class Pooled(NamedTuple):
    """Element counts over all windows of a call."""

    #: Elements read, once per window that reads them.
    reads: int
    #: Distinct elements read.
    distinct_inputs: int


def _strided(
    inputs: Shape, outputs: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape = (1,)
) -> Pooled:
    """Count the elements in windows that slide over the last dimensions; an empty stride means *kernel_size*."""
    dims = max(len(kernel_size), len(stride), len(padding), len(dilation))
    settings = (kernel_size, stride or kernel_size, padding, dilation)
    along = zip(inputs[-dims:], outputs[-dims:], *(_each(setting, dims) for setting in settings), strict=True)
    windows, planes = [spatial_geometry.strided(*numbers) for numbers in along], prod(inputs[:-dims])
    return Pooled(
        planes * prod(map(spatial_geometry.reads, windows)),
        planes * prod(map(spatial_geometry.distinct_inputs, windows)),
    )


def _adaptive(inputs: Shape, outputs: Shape) -> Pooled:
    """Count the elements in adaptive windows; batch and channel dimensions have windows of one element."""
    windows = [spatial_geometry.adaptive(*sizes) for sizes in zip(inputs, outputs, strict=True)]
    return Pooled(prod(map(spatial_geometry.reads, windows)), prod(map(spatial_geometry.distinct_inputs, windows)))


def _average_backward(grad_output: TensorSpec, windows: Pooled) -> Cost:
    """Count one divide per gradient, and the adds where windows overlap; only the gradient is read."""
    return Cost(
        other_flops=prod(grad_output.shape) + reduction_ops(windows.reads, windows.distinct_inputs),
        bytes_read=grad_output.bytes,
    )


def _max_backward_adds(gradients: Shape, windows: Pooled) -> int:
    """Return the adds: at most one per gradient if windows overlap; none if not, as gradients are only copied."""
    return prod(gradients) if windows.reads > windows.distinct_inputs else 0


def _each(value: Sequence[int], dims: int) -> Sequence[int]:
    """Expand a single value to all dimensions."""
    return tuple(value) * dims if len(value) == 1 else value
