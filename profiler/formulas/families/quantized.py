"""Quantized linear layers, convolutions and matmul: the eager-mode ``torch.ao`` modules, static and dynamic.

The MACs are those of the floating-point layer, on 8-bit integers accumulated in 32 bits; the zero-point correction of
the sums is not counted. A static layer adds its bias and requantizes every result to the output's scale; a fused ReLU
is free, since it is the lower clamp of that requantization. A dynamic layer first quantizes its input to the input's
own range, and scales every sum back to floating point.

A packed weight is recorded as its unpacked weight and bias.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.epilogues import with_activation, with_bias
from profiler.formulas.families.convolution import positions
from profiler.formulas.families.quantization import DEQUANTIZE_FLOPS, dynamic_quantization_flops, with_requantization
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec

#: A packed parameter: weight and bias.
Packed = tuple[TensorSpec, TensorSpec | None]

_SPATIAL = 2  # index of the first spatial dimension of an input


@formula("quantized::linear", "quantized::linear_relu")
def linear(X: Shape, W_prepack: Packed, Y_zero_point_i: int, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias`` and the requantization, which includes a ReLU."""
    return with_requantization(_linear(X, W_prepack, out), prod(out), Y_zero_point_i)


@formula("quantized::linear_leaky_relu")
def linear_leaky_relu(X: Shape, W_prepack: Packed, Y_zero_point_i: int, out: Shape) -> Cost:
    """Count a static linear layer, with a leaky ReLU before the result is quantized."""
    return with_activation(linear(X, W_prepack, Y_zero_point_i, out), prod(out), "leaky_relu")


@formula("quantized::linear_tanh")
def linear_tanh(X: Shape, W_prepack: Packed, Y_zero_point_i: int, out: Shape) -> Cost:
    """Count a static linear layer, with a tanh before the result is quantized."""
    return with_activation(linear(X, W_prepack, Y_zero_point_i, out), prod(out), "tanh")


@formula("quantized::linear_dynamic")
def linear_dynamic(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count a dynamic linear layer, floating point in and out."""
    return _dynamic(_linear(X, W_prepack, out), prod(X), prod(out))


@formula("quantized::linear_relu_dynamic")
def linear_relu_dynamic(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count a dynamic linear layer and a ReLU."""
    return with_activation(linear_dynamic(X, W_prepack, out), prod(out), "relu")


@formula("quantized::linear_dynamic_fp16")
def linear_fp16(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count a linear layer whose weight is stored in float16; the arithmetic is in float32."""
    return _linear(X, W_prepack, out)


@formula("quantized::linear_relu_dynamic_fp16")
def linear_relu_fp16(X: Shape, W_prepack: Packed, out: Shape) -> Cost:
    """Count a linear layer with a float16 weight, and a ReLU."""
    return with_activation(_linear(X, W_prepack, out), prod(out), "relu")


@formula(
    "quantized::conv1d", "quantized::conv1d_relu", "quantized::conv2d.new", "quantized::conv2d_relu.new",
    "quantized::conv3d.new", "quantized::conv3d_relu.new",
)  # fmt: skip
def convolution(packed_weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count a static convolution and the requantization, which includes a ReLU."""
    return with_requantization(_convolution(packed_weight, out, out), prod(out), output_zero_point)


@formula("quantized::conv2d.default", "quantized::conv2d_relu.default", "quantized::conv3d.default")
def convolution_with_stride(weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count a static convolution in its older schema, which repeats stride and padding as arguments."""
    return convolution(weight, output_zero_point, out)


@formula("quantized::conv2d_add", "quantized::conv2d_add_relu")
def convolution_add(packed_weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count a static convolution and the sum with another quantized tensor, before the result is quantized."""
    product = convolution(packed_weight, output_zero_point, out)
    return replace(product, other_flops=product.other_flops + prod(out) * (DEQUANTIZE_FLOPS + 1))


@formula("quantized::conv1d_dynamic", "quantized::conv2d_dynamic", "quantized::conv3d_dynamic")
def convolution_dynamic(qx: Shape, packed_weight: Packed, out: Shape) -> Cost:
    """Count a dynamic convolution, floating point in and out."""
    return _dynamic(_convolution(packed_weight, out, out), prod(qx), prod(out))


@formula("quantized::conv_transpose1d", "quantized::conv_transpose2d", "quantized::conv_transpose3d")
def convolution_transpose(qx: Shape, packed_weight: Packed, output_zero_point: int, out: Shape) -> Cost:
    """Count a static transposed convolution: every position of the input is multiplied by the weight."""
    return with_requantization(_convolution(packed_weight, qx, out), prod(out), output_zero_point)


@formula(
    "quantized::conv_transpose1d_dynamic", "quantized::conv_transpose2d_dynamic", "quantized::conv_transpose3d_dynamic"
)
def convolution_transpose_dynamic(qx: Shape, packed_weight: Packed, out: Shape) -> Cost:
    """Count a dynamic transposed convolution, floating point in and out."""
    return _dynamic(_convolution(packed_weight, qx, out), prod(qx), prod(out))


@formula("quantized::matmul")
def matmul(qa: Shape, zero_point: int, out: Shape) -> Cost:
    """Count ``(…, M, K) @ (…, K, N)`` of two quantized tensors, and the requantization."""
    return with_requantization(Cost(macs=prod(out) * qa[-1]), prod(out), zero_point)


@formula(
    "quantized::linear_prepack", "quantized::linear_prepack_fp16", "quantized::conv1d_prepack",
    "quantized::conv2d_prepack", "quantized::conv3d_prepack", "quantized::conv_transpose1d_prepack",
    "quantized::conv_transpose2d_prepack", "quantized::conv_transpose3d_prepack", "quantized::embedding_bag_prepack",
    "quantized::linear_unpack", "quantized::linear_unpack_fp16", "quantized::conv1d_unpack",
    "quantized::conv2d_unpack", "quantized::conv3d_unpack", "quantized::conv_transpose1d_unpack",
    "quantized::conv_transpose2d_unpack", "quantized::conv_transpose3d_unpack", "quantized::embedding_bag_unpack",
)  # fmt: skip
def pack() -> Cost:
    """Count nothing: packing and unpacking only reorder a weight in memory."""
    return Cost()


def _linear(x: Shape, packed: Packed, out: Shape) -> Cost:
    weight, bias = packed
    return with_bias(prod(x[:-1]) * prod(weight.shape), prod(out), bias)


def _convolution(packed: Packed, grid: Shape, out: Shape) -> Cost:
    """Count the MACs at every position of *grid*, and the bias; a 1-d weight is packed as 2-d with height 1."""
    weight, bias = packed
    return with_bias(positions(grid, len(grid) - _SPATIAL) * prod(weight.shape), prod(out), bias)


def _dynamic(product: Cost, elements: int, results: int) -> Cost:
    """Return the cost of *product* plus quantizing its input and one multiply to scale each sum back."""
    return replace(product, other_flops=product.other_flops + dynamic_quantization_flops(elements) + results)
