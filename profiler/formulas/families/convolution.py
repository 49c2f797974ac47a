"""Convolutions: every weight is used once at every position of the grid on which the filter stands.

Legend: P positions, the batch included; W weights; R elements of the result; a convolution takes ``P·W`` MACs.

The grid is that of the result, or that of the input for a transposed convolution. A weight tensor holds
``C_out·C_in/groups·kernel`` elements, so that groups, depthwise filters and dilation need nothing more. The count is
dense: a position that lies in the padding is multiplied like any other. ``padding="same"`` arrives as a padding of the
input where the two sides differ, and as this.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.epilogues import Factor, activated, biased
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec


def positions(grid: Shape, dimensions: int) -> int:
    """Count the points of a grid ``(…, C, *space)`` with that many spatial dimensions; channels are no points."""
    return prod(grid[:-dimensions]) // max(grid[-dimensions - 1], 1) * prod(grid[-dimensions:])


@formula("aten::convolution", "aten::_convolution", "aten::convolution_overrideable")
def convolution(input: Shape, weight: Shape, bias: Shape | None, stride: Shape, transposed: bool, out: Shape) -> Cost:
    """Count a convolution in any number of dimensions, or a transposed one."""
    return biased(positions(input if transposed else out, len(stride)) * prod(weight), prod(out), bias)


@formula("aten::cudnn_convolution")
def cudnn_convolution(weight: Shape, stride: Shape, out: Shape) -> Cost:
    """Count a convolution; its bias is an operator of its own."""
    return Cost(macs=positions(out, len(stride)) * prod(weight))


@formula("aten::cudnn_convolution_transpose", "aten::_mps_convolution_transpose")
def cudnn_convolution_transpose(self: Shape, weight: Shape, stride: Shape) -> Cost:
    """Count a transposed convolution; its bias is an operator of its own."""
    return Cost(macs=positions(self, len(stride)) * prod(weight))


@formula(
    "aten::mkldnn_convolution", "aten::miopen_convolution", "aten::miopen_depthwise_convolution",
    "aten::_mps_convolution", "aten::_conv_depthwise2d", "aten::conv_depthwise3d", "aten::_slow_conv2d_forward",
    "aten::slow_conv3d_forward", "aten::slow_conv_dilated2d", "aten::slow_conv_dilated3d",
)  # fmt: skip
def device_convolution(weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a convolution that was dispatched to one device's kernel."""
    return biased(positions(out, len(stride)) * prod(weight), prod(out), bias)


@formula("aten::_nnpack_spatial_convolution")
def nnpack_convolution(weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a convolution by NNPACK, as direct: its transforms save multiplies that are counted all the same."""
    return device_convolution(weight, bias, stride, out)


@formula("aten::miopen_convolution_transpose", "aten::slow_conv_transpose2d", "aten::slow_conv_transpose3d")
def device_convolution_transpose(self: Shape, weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a transposed convolution that was dispatched to one device's kernel."""
    return biased(positions(self, len(stride)) * prod(weight), prod(out), bias)


@formula("aten::cudnn_convolution_relu", "aten::miopen_convolution_relu")
def convolution_relu(weight: Shape, bias: Shape | None, stride: Shape, out: Shape) -> Cost:
    """Count a convolution, its bias and ReLU."""
    return activated(device_convolution(weight, bias, stride, out), prod(out), "relu")


@formula("aten::cudnn_convolution_add_relu", "aten::miopen_convolution_add_relu")
def convolution_add_relu(weight: Shape, bias: Shape | None, stride: Shape, alpha: Factor, out: Shape) -> Cost:
    """Count ``relu(convolution + bias + α·z)``; the α that is left out is 1."""
    results = prod(out)
    scaled = activated(Cost(), results, "mul" if alpha not in {None, 1} else "none")
    product = device_convolution(weight, bias, stride, out)
    joined = activated(product, results, "add")
    return activated(replace(joined, other_flops=joined.other_flops + scaled.other_flops), results, "relu")


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
    return activated(device_convolution(W, B, stride, out), prod(out), attr, algorithm)


@formula("mkldnn::_convolution_pointwise.binary", "mkldnn::_convolution_pointwise_.binary")
def convolution_binary(
    W: Shape,
    B: Shape | None,
    stride: Shape,
    binary_attr: str,
    unary_attr: str | None,
    out: Shape,
) -> Cost:
    """Count a convolution, its bias, one operation with another operand, and an activation."""
    joined = activated(device_convolution(W, B, stride, out), prod(out), binary_attr)
    return activated(joined, prod(out), unary_attr or "none")


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
    return activated(device_convolution_transpose(X, W, B, stride, out), prod(out), attr, algorithm)


@formula("aten::conv_tbc")
def conv_tbc(weight: Shape, out: Shape) -> Cost:
    """Count a convolution over time of ``(T, B, C)``, and its bias, which is not optional."""
    time, batch, _ = out
    return biased(time * batch * prod(weight), prod(out), "bias")


@formula("aten::convolution_backward", "aten::convolution_backward_overrideable")
def convolution_backward(
    grad_output: TensorSpec, input: TensorSpec, weight: TensorSpec,
    stride: Shape, transposed: bool, output_mask: tuple[bool, ...],
) -> Cost:  # fmt: skip
    """Count the gradients that are asked for: of input, weight and bias.

    That of the input and that of the weight take as many MACs as the forward pass, grouped or not; that of the bias
    sums the gradient over all but the channels. The input is read for the second, the weight for the first alone.
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
    """Count the same under the names of that backend."""
    return convolution_backward(grad_output, self, weight, stride, False, output_mask)


@formula("aten::mps_convolution_transpose_backward")
def mps_convolution_transpose_backward(
    grad_output: TensorSpec, self: TensorSpec, weight: TensorSpec, stride: Shape, output_mask: tuple[bool, ...]
) -> Cost:
    """Count the same of a transposed convolution, without a bias."""
    return convolution_backward(grad_output, self, weight, stride, True, (*output_mask, False))


@formula("aten::_slow_conv2d_backward.output_mask")
def slow_conv2d_backward(
    grad_output: TensorSpec, self: TensorSpec, weight: TensorSpec, stride: Shape, output_mask: tuple[bool, ...]
) -> Cost:
    """Count the same under the names of the kernel without a library."""
    return convolution_backward(grad_output, self, weight, stride, False, output_mask)
