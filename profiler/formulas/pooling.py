"""Pooling: windows that are averaged, or of which the largest is taken.

Windows count what they really hold: where one hangs over the border, the elements that are there; padding is neither
added nor compared, however the divisor treats it. An average of k elements is k − 1 adds and a divide, a maximum k − 1
compares. Backward, each gradient is added once to every input that took part, onto zeros; the forward's input is an
argument there, but only its size is needed.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.elements import folds
from profiler.formulas.registry import formula
from profiler.records import Cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.records import Shape, TensorSpec


@formula("aten::avg_pool2d", "aten::avg_pool3d")
def avg_pool(self: Shape, kernel_size: Shape, stride: Shape, padding: Shape, out: Shape) -> Cost:
    """Count the adds and the divide of every window: as many operations as elements are read."""
    return Cost(other_flops=_windows(self, out, kernel_size, stride, padding))


@formula("aten::avg_pool2d_backward", "aten::avg_pool3d_backward")
def avg_pool_backward(grad_output: TensorSpec, self: Shape, kernel_size: Shape, stride: Shape, padding: Shape) -> Cost:
    """Divide each gradient, and add it to every element of its window."""
    reads = _windows(self, grad_output.shape, kernel_size, stride, padding)
    return Cost(other_flops=prod(grad_output.shape) + reads, bytes_read=grad_output.bytes)


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
    return Cost(other_flops=folds(_windows(self, out, kernel_size, stride, padding, dilation), prod(out)))


@formula(
    "aten::max_pool2d_with_indices_backward",
    "aten::max_pool3d_with_indices_backward",
    "aten::adaptive_max_pool2d_backward",
    "aten::adaptive_max_pool3d_backward",
    "aten::fractional_max_pool2d_backward",
    "aten::fractional_max_pool3d_backward",
)
def max_pool_backward(grad_output: TensorSpec, indices: TensorSpec) -> Cost:
    """Add each gradient to the one input that was the largest."""
    return Cost(other_flops=prod(grad_output.shape), bytes_read=grad_output.bytes + indices.bytes)


@formula("aten::mkldnn_max_pool2d_backward", "aten::mkldnn_max_pool3d_backward", "aten::max_pool2d_backward")
def max_pool_backward_without_indices(grad_output: Shape) -> Cost:
    """Add each gradient to the one input that was the largest, which the library finds in the operands."""
    return Cost(other_flops=prod(grad_output))


@formula("aten::_adaptive_avg_pool2d", "aten::mkldnn_adaptive_avg_pool2d")
def adaptive_avg_pool2d(self: Shape, out: Shape) -> Cost:
    """Count the adds and the divide of every window; their sizes vary with the place."""
    return Cost(other_flops=_adaptive_windows(self, out, 2))


@formula("aten::_adaptive_avg_pool3d")
def adaptive_avg_pool3d(self: Shape, out: Shape) -> Cost:
    """Count the same over three dimensions."""
    return Cost(other_flops=_adaptive_windows(self, out, 3))


@formula("aten::_adaptive_avg_pool2d_backward", "aten::mkldnn_adaptive_avg_pool2d_backward")
def adaptive_avg_pool2d_backward(grad_output: TensorSpec, self: Shape) -> Cost:
    """Divide each gradient, and add it to every element of its window."""
    reads = _adaptive_windows(self, grad_output.shape, 2)
    return Cost(other_flops=prod(grad_output.shape) + reads, bytes_read=grad_output.bytes)


@formula("aten::_adaptive_avg_pool3d_backward")
def adaptive_avg_pool3d_backward(grad_output: TensorSpec, self: Shape) -> Cost:
    """Count the same over three dimensions."""
    reads = _adaptive_windows(self, grad_output.shape, 3)
    return Cost(other_flops=prod(grad_output.shape) + reads, bytes_read=grad_output.bytes)


@formula("aten::adaptive_max_pool2d", "aten::adaptive_max_pool3d")
def adaptive_max_pool(self: Shape, output_size: Shape, out: Shape) -> Cost:
    """Compare every element of a window but the first."""
    return Cost(other_flops=folds(_adaptive_windows(self, out, len(output_size)), prod(out)))


@formula("aten::fractional_max_pool2d", "aten::fractional_max_pool3d")
def fractional_max_pool(kernel_size: Shape, out: Shape) -> Cost:
    """Compare within windows that lie at random places, always whole."""
    return Cost(other_flops=prod(out) * (prod(kernel_size) - 1))


def strided_reads(length: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Count what the windows along one dimension read in all, each only what lies within *length*."""
    taps = range(0, kernel * dilation, dilation)
    starts = range(-padding, outputs * stride - padding, stride)
    return sum(0 <= start + tap < length for start in starts for tap in taps)


def adaptive_reads(length: int, outputs: int) -> int:
    """Count what the windows of adaptive pooling along one dimension read in all.

    The window of output o begins at ``⌊o·L/O⌋`` and ends before ``⌈(o + 1)·L/O⌉``.

    Source: start_index and end_index in torch's aten/src/ATen/native/AdaptivePooling.h.
    """
    return sum(-(-(o + 1) * length // outputs) - o * length // outputs for o in range(outputs))


def _windows(
    inputs: Shape, outputs: Shape, kernel_size: Shape, stride: Shape, padding: Shape, dilation: Shape = (1,)
) -> int:
    """Count what all windows read, in all channels and samples; a single number is for every dimension."""
    dims = max(len(kernel_size), len(stride), len(padding), len(dilation))
    kernel, pad, gap = (_each(value, dims) for value in (kernel_size, padding, dilation))
    step = _each(stride, dims) if stride else kernel
    geometry = zip(inputs[-dims:], outputs[-dims:], kernel, step, pad, gap, strict=True)
    return prod(inputs[:-dims]) * prod(strided_reads(*along) for along in geometry)


def _adaptive_windows(inputs: Shape, outputs: Shape, dims: int) -> int:
    reads = (adaptive_reads(n, o) for n, o in zip(inputs[-dims:], outputs[-dims:], strict=True))
    return prod(inputs[:-dims]) * prod(reads)


def _each(value: Sequence[int], dims: int) -> Sequence[int]:
    return tuple(value) * dims if len(value) == 1 else value
