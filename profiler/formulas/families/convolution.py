"""Convolutions, forward and backward, under the names of all backends.

Legend: P positions of the filter over all samples, W elements of the weight, R elements of the result.

A convolution takes ``P·W`` MACs: it uses every weight once per position. The positions are those of the result, or of
the input for a transposed convolution. Groups, depthwise filters and dilation are covered, because the weight tensor
has ``C_out·C_in/groups·kernel`` elements. The count is dense: products with padding count too. ``padding="same"`` runs
as this operator, preceded by a padding operator if the two sides differ.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.epilogues import with_activation, with_bias
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Number, Shape, TensorSpec


def positions(grid: Shape, dimensions: int) -> int:
    """Count the positions of ``(…, C, *spatial)`` with that many spatial *dimensions*, over all samples."""
    return prod(grid[:-dimensions]) // max(grid[-dimensions - 1], 1) * prod(grid[-dimensions:])


@formula("aten::convolution", "aten::_convolution", "aten::convolution_overrideable")
def convolution(input: Shape, weight: Shape, bias: Shape | None, stride: Shape, transposed: bool, out: Shape) -> Cost:
    """Count a convolution or transposed convolution, in any number of dimensions."""
    return with_bias(positions(input if transposed else out, len(stride)) * prod(weight), prod(out), bias)


@formula("aten::cudnn_convolution")
def cudnn_convolution(weight: Shape, stride: Shape, out: Shape) -> Cost:
    """Count a convolution; the bias is added by another operator."""
    return Cost(macs=positions(out, len(stride)) * prod(weight))


@formula("aten::cudnn_convolution_transpose", "aten::_mps_convolution_transpose")
def cudnn_convolution_transpose(self: Shape, weight: Shape, stride: Shape) -> Cost:
    """Count a transposed convolution; the bias is added by another operator."""
    return Cost(macs=positions(self, len(stride)) * prod(weight))


@formula(
    "aten::mkldnn_convolution", "aten::miopen_convolution", "aten::miopen_depthwise_convolution",
    "aten::_mps_convolution", "aten::_conv_depthwise2d", "aten::conv_depthwise3d", "aten::_slow_conv2d_forward",
    "aten::slow_conv3d_forward", "aten::slow_conv_dilated2d", "aten::slow_conv_dilated3d",
)  # fmt: skip
def device_convolution(weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a convolution by the kernel of one backend."""
    return with_bias(positions(out, len(stride)) * prod(weight), prod(out), bias)


@formula("aten::_nnpack_spatial_convolution")
def nnpack_convolution(weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a convolution by NNPACK as a direct one, although its transforms save multiplies."""
    return device_convolution(weight, bias, stride, out)


@formula("aten::miopen_convolution_transpose", "aten::slow_conv_transpose2d", "aten::slow_conv_transpose3d")
def device_convolution_transpose(self: Shape, weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a transposed convolution by the kernel of one backend."""
    return with_bias(positions(self, len(stride)) * prod(weight), prod(out), bias)


@formula("aten::cudnn_convolution_relu", "aten::miopen_convolution_relu")
def convolution_relu(weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a convolution, its bias and ReLU."""
    return with_activation(device_convolution(weight, bias, stride, out), prod(out), "relu")


@formula("aten::cudnn_convolution_add_relu", "aten::miopen_convolution_add_relu")
def convolution_add_relu(weight: Shape, bias: Shape | None, stride: Shape, alpha: Number | None, out: Shape) -> Cost:
    """Count ``relu(convolution + bias + α·z)``; α is 1 if it is None."""
    results = prod(out)
    scaled = with_activation(Cost(), results, "mul" if alpha not in {None, 1} else "none")
    product = device_convolution(weight, bias, stride, out)
    joined = with_activation(product, results, "add")
    return with_activation(replace(joined, other_flops=joined.other_flops + scaled.other_flops), results, "relu")


@formula("mkldnn::_convolution_pointwise.default")
def convolution_pointwise(
    W: Shape,
    B: Shape | None,
    stride: Shape,
    attr: str,
    algorithm: str | None,
    out: Shape,
) -> Cost:
    """Count a convolution, its bias and an activation."""
    return with_activation(device_convolution(W, B, stride, out), prod(out), attr, algorithm)


@formula("mkldnn::_convolution_pointwise.binary", "mkldnn::_convolution_pointwise_.binary")
def convolution_binary(
    W: Shape,
    B: Shape | None,
    stride: Shape,
    binary_attr: str,
    unary_attr: str | None,
    out: Shape,
) -> Cost:
    """Count a convolution, its bias, a binary operation with another operand, and an activation."""
    joined = with_activation(device_convolution(W, B, stride, out), prod(out), binary_attr)
    return with_activation(joined, prod(out), unary_attr or "none")


@formula("mkldnn::_convolution_transpose_pointwise")
def convolution_transpose_pointwise(
    X: Shape,
    W: Shape,
    B: Shape | None,
    stride: Shape,
    attr: str,
    algorithm: str | None,
    out: Shape,
) -> Cost:
    """Count a transposed convolution, its bias and an activation."""
    return with_activation(device_convolution_transpose(X, W, B, stride, out), prod(out), attr, algorithm)


@formula("aten::conv_tbc")
def conv_tbc(weight: Shape, out: Shape) -> Cost:
    """Count a convolution over time of ``(T, B, C)``, and its bias, which is required."""
    time, batch, _ = out
    return with_bias(time * batch * prod(weight), prod(out), "bias")


@formula("aten::convolution_backward", "aten::convolution_backward_overrideable")
def convolution_backward(
    grad_output: TensorSpec, input: TensorSpec, weight: TensorSpec,
    stride: Shape, transposed: bool, output_mask: tuple[bool, ...],
) -> Cost:  # fmt: skip
    """Count the gradients selected by *output_mask*: of the input, the weight and the bias.

    The first two take as many MACs as the forward pass each, with and without groups. The gradient of the bias sums
    ``grad_output`` over all dimensions but the channels. The weight is read only for the gradient of the input, and the
    input only for that of the weight.
    """
    of_input, of_weight, of_bias = output_mask
    grid = input if transposed else grad_output
    forward = positions(grid.shape, len(stride)) * prod(weight.shape)
    channels = grad_output.shape[-len(stride) - 1]
    return Cost(
        macs=forward * (of_input + of_weight),
        other_flops=reduction_ops(prod(grad_output.shape), channels) * of_bias,
        bytes_read=grad_output.bytes + weight.bytes * of_input + input.bytes * of_weight,
    )


@formula("aten::mps_convolution_backward")
def mps_convolution_backward(
    grad_output: TensorSpec, self: TensorSpec, weight: TensorSpec, stride: Shape, output_mask: tuple[bool, ...]
) -> Cost:
    """Count the backward pass of a convolution on MPS."""
    return convolution_backward(grad_output, self, weight, stride, False, output_mask)


@formula("aten::mps_convolution_transpose_backward")
def mps_convolution_transpose_backward(
    grad_output: TensorSpec, self: TensorSpec, weight: TensorSpec, stride: Shape, output_mask: tuple[bool, ...]
) -> Cost:
    """Count the backward pass of a transposed convolution on MPS, which has no bias."""
    return convolution_backward(grad_output, self, weight, stride, True, (*output_mask, False))


@formula("aten::_slow_conv2d_backward.output_mask")
def slow_conv2d_backward(
    grad_output: TensorSpec, self: TensorSpec, weight: TensorSpec, stride: Shape, output_mask: tuple[bool, ...]
) -> Cost:
    """Count the backward pass of a convolution by torch's own CPU kernel."""
    return convolution_backward(grad_output, self, weight, stride, False, output_mask)
