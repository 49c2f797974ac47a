"""Matrix products of 8-bit and 4-bit operands: scaled floating point, integers, and weight-only quantization.

Legend: as in ``matmul.py``. The MACs are those of the product. Scaling is counted outside the MACs: one multiply per
scale applied to a result or a weight, and one add per zero point.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.epilogues import weighted_sum, with_bias
from profiler.formulas.families.quantization import dynamic_quantization_flops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Number, Shape, TensorSpec


def unpacked_shape(operand: TensorSpec) -> Shape:
    """Return the shape of a left operand in elements; two elements of 4 bits share a byte."""
    *rows, k = operand.shape
    return (*rows, 2 * k if operand.dtype.endswith("_x2") else k)


@formula("aten::_int_mm")
def int_mm(self: Shape, mat2: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` of 8-bit integers, accumulated in 32 bits."""
    return Cost(macs=prod(self) * mat2[1])


@formula("aten::_scaled_mm")
def scaled_mm(self: TensorSpec, mat2: Shape, bias: Shape | None, scale_result: Shape | None, out: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)``, two multiplies per result for the operands' scales, the result's scale, and the bias.

    Blockwise scales along K are counted like one scale per row.
    """
    return with_bias(prod(unpacked_shape(self)) * mat2[1], prod(out), "scale_a", "scale_b", bias, scale_result)


@formula("aten::_scaled_mm_v2")
def scaled_mm_v2(self: TensorSpec, mat2: Shape, bias: Shape | None, out: Shape) -> Cost:
    """Count a scaled product without a scale of the result."""
    return scaled_mm(self, mat2, bias, None, out)


@formula("aten::_scaled_addmm")
def scaled_addmm(mat1: TensorSpec, mat2: Shape, beta: Number, alpha: Number, out: Shape) -> Cost:
    """Count ``β·self + α·product`` of scaled operands."""
    total = weighted_sum(prod(unpacked_shape(mat1)) * mat2[1], prod(out), beta, alpha)
    return replace(total, other_flops=total.other_flops + 2 * prod(out))


@formula("aten::_weight_int8pack_mm")
def int8_weight_mm(self: Shape, mat2: Shape, out: Shape) -> Cost:
    """Count ``(M, K) @ (N, K)ᵀ`` with 8-bit weights, and one multiply per result for the scale."""
    return Cost(macs=prod(self) * mat2[0], other_flops=prod(out))


@formula(
    "aten::_weight_int4pack_mm", "aten::_weight_int4pack_mm_for_cpu",
    "aten::_weight_int4pack_mm_with_scales_and_zeros",
)  # fmt: skip
def int4_weight_mm(self: Shape, out: Shape) -> Cost:
    """Count ``(M, K) @ (N, K)ᵀ`` with packed 4-bit weights, each dequantized once by scale and zero point."""
    k, n = self[-1], out[-1]
    return Cost(macs=prod(self) * n, other_flops=2 * k * n)


@formula("aten::_dyn_quant_matmul_4bit")
def dynamic_int4_mm(inp: Shape, out_features: int, out: Shape) -> Cost:
    """Count ``(M, K) @ (N, K)ᵀ`` with packed 4-bit weights and dynamically quantized rows.

    Quantizing a row includes finding its range. Each result takes a multiply for the scale, and an add for the bias,
    which is assumed to be among the packed weights.
    """
    k = inp[-1]
    rows = prod(inp[:-1])
    quantization = rows * dynamic_quantization_flops(k)
    return Cost(macs=rows * k * out_features, other_flops=quantization + 2 * prod(out))


@formula("aten::_mixed_dtypes_linear")
def mixed_dtypes_linear(input: Shape, bias: Shape | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (K, N) + bias`` with integer weights, and a multiply per result for the scale."""
    return with_bias(prod(input) * out[-1], prod(out), "scale", bias)
