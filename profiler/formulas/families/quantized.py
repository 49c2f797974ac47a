"""Contractions of quantized tensors: eager-mode ``torch.ao`` modules, static and dynamic.

The MACs are those of the same layer in floating point, on 8-bit integers that are summed in 32 bits; how a kernel
corrects its sums for zero points is not counted. A static layer adds its bias and brings every result to the output's
scale; a ReLU comes free with that, as the lower end of the range. A dynamic layer quantizes its input by its own
range first, and scales every sum back to floating point.

A packed weight is observed as what it unpacks to: weight and bias.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.epilogues import activated, biased
from profiler.formulas.families.convolution import positions
from profiler.formulas.families.quantization import DEQUANTIZE, quantized_dynamically, requantized
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec

#: Weight and bias.
Packed = tuple[TensorSpec, TensorSpec | None]

_SPATIAL = 2  # where the spatial dimensions of an input begin


@formula("quantized::linear", "quantized::linear_relu")
def linear(X: Shape, W_prepack: Packed, Y_zero_point_i: int, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``, and ReLU at the zero point."""
    return requantized(_linear(X, W_prepack, out), prod(out), Y_zero_point_i)


@formula("quantized::linear_leaky_relu")
def linear_leaky_relu(X: Shape, W_prepack: Packed, Y_zero_point_i: int, out: Shape) -> Cost:
    """Count a layer, and a leaky ReLU before its result is quantized."""
    return activated(linear(X, W_prepack, Y_zero_point_i, out), prod(out), "leaky_relu")


@formula("quantized::linear_tanh")
def linear_tanh(X: Shape, W_prepack: Packed, Y_zero_point_i: int, out: Shape) -> Cost:
    """Count a layer, and a tanh before its result is quantized."""
    return activated(linear(X, W_prepack, Y_zero_point_i, out), prod(out), "tanh")


@formula("quantized::linear_dynamic")
def linear_dynamic(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count a layer from and to floating point."""
    return _dynamic(_linear(X, W_prepack, out), prod(X), prod(out))


@formula("quantized::linear_relu_dynamic")
def linear_relu_dynamic(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count a layer from and to floating point, and ReLU."""
    return activated(linear_dynamic(X, W_prepack, out), prod(out), "relu")


@formula("quantized::linear_dynamic_fp16")
def linear_fp16(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count a layer whose weight is stored in half precision and computed with in single."""
    return _linear(X, W_prepack, out)


@formula("quantized::linear_relu_dynamic_fp16")
def linear_relu_fp16(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count the same and ReLU."""
    return activated(_linear(X, W_prepack, out), prod(out), "relu")


@formula(
    "quantized::conv1d", "quantized::conv1d_relu", "quantized::conv2d.new", "quantized::conv2d_relu.new",
    "quantized::conv3d.new", "quantized::conv3d_relu.new",
)  # fmt: skip
def convolution(packed_weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count a convolution, and ReLU at the zero point."""
    return requantized(_convolution(packed_weight, out, out), prod(out), output_zero_point)


@formula("quantized::conv2d.default", "quantized::conv2d_relu.default", "quantized::conv3d.default")
def convolution_with_stride(weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count the same in its older form."""
    return convolution(weight, output_zero_point, out)


@formula("quantized::conv2d_add", "quantized::conv2d_add_relu")
def convolution_add(packed_weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count a convolution to which another quantized tensor is added before the result is quantized."""
    product = convolution(packed_weight, output_zero_point, out)
    return replace(product, other_flops=product.other_flops + prod(out) * (DEQUANTIZE + 1))


@formula("quantized::conv1d_dynamic", "quantized::conv2d_dynamic", "quantized::conv3d_dynamic")
def convolution_dynamic(qx: Shape, packed_weight: Packed, out: Shape) -> Cost:
    """Count a convolution from and to floating point."""
    return _dynamic(_convolution(packed_weight, out, out), prod(qx), prod(out))


@formula("quantized::conv_transpose1d", "quantized::conv_transpose2d", "quantized::conv_transpose3d")
def convolution_transpose(qx: Shape, packed_weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count a transposed convolution, on the grid of its input."""
    return requantized(_convolution(packed_weight, qx, out), prod(out), output_zero_point)


@formula(
    "quantized::conv_transpose1d_dynamic", "quantized::conv_transpose2d_dynamic", "quantized::conv_transpose3d_dynamic"
)
def convolution_transpose_dynamic(qx: Shape, packed_weight: Packed, out: Shape) -> Cost:
    """Count a transposed convolution from and to floating point."""
    return _dynamic(_convolution(packed_weight, qx, out), prod(qx), prod(out))


@formula("quantized::matmul")
def matmul(qa: Shape, zero_point: int, out: Shape) -> Cost:
    """Count ``(…, M, K) @ (…, K, N)`` of two quantized tensors."""
    return requantized(Cost(macs=prod(out) * qa[-1]), prod(out), zero_point)


@formula(
    "quantized::linear_prepack", "quantized::linear_prepack_fp16", "quantized::conv1d_prepack",
    "quantized::conv2d_prepack", "quantized::conv3d_prepack", "quantized::conv_transpose1d_prepack",
    "quantized::conv_transpose2d_prepack", "quantized::conv_transpose3d_prepack", "quantized::embedding_bag_prepack",
    "quantized::linear_unpack", "quantized::linear_unpack_fp16", "quantized::conv1d_unpack",
    "quantized::conv2d_unpack", "quantized::conv3d_unpack", "quantized::conv_transpose1d_unpack",
    "quantized::conv_transpose2d_unpack", "quantized::conv_transpose3d_unpack", "quantized::embedding_bag_unpack",
)  # fmt: skip
def pack() -> Cost:
    """Move a weight to or from the order in which a kernel reads it."""
    return Cost()


def _linear(x: Shape, packed: Packed, out: Shape) -> Cost:
    weight, bias = packed
    return biased(prod(x[:-1]) * prod(weight.shape), prod(out), bias)


def _convolution(packed: Packed, grid: Shape, out: Shape) -> Cost:
    """Count the products on a grid; a one-dimensional weight is packed as a two-dimensional one of height 1."""
    weight, bias = packed
    return biased(positions(grid, len(grid) - _SPATIAL) * prod(weight.shape), prod(out), bias)


def _dynamic(product: Cost, elements: int, results: int) -> Cost:
    """Add the quantization of the input, and one multiply that brings each sum back to scale."""
    return replace(product, other_flops=product.other_flops + quantized_dynamically(elements) + results)
