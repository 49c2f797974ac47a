"""Products of 8-bit and 4-bit operands: scaled floating-point, integer, and quantized weights with float activations.

Legend: as in ``matmul.py``; G weights share a scale. The MACs are those of the product. What brings operands or
results to scale is arithmetic outside: one multiply for each scale that a result or a weight meets, one add for a zero
point.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.epilogues import Factor, biased, weighted
from profiler.formulas.families.quantization import dynamic_quantization_flops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec


def unpacked(operand: TensorSpec) -> Shape:
    """Give the shape of a left operand in numbers, of which two of 4 bits share a byte."""
    *rows, k = operand.shape
    return (*rows, 2 * k if operand.dtype.endswith("_x2") else k)


@formula("aten::_int_mm")
def int_mm(self: Shape, mat2: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)`` of 8-bit integers, summed in 32 bits."""
    return Cost(macs=prod(self) * mat2[1])


@formula("aten::_scaled_mm")
def scaled_mm(self: TensorSpec, mat2: Shape, bias: Shape | None, scale_result: Shape | None, out: Shape) -> Cost:
    """Count ``(M, K) @ (K, N)``, the scales of both operands on each result, its own scale, and the bias.

    Scales of blocks along K are counted as if there were one for a row.
    """
    return biased(prod(unpacked(self)) * mat2[1], prod(out), "scale_a", "scale_b", bias, scale_result)


@formula("aten::_scaled_mm_v2")
def scaled_mm_v2(self: TensorSpec, mat2: Shape, bias: Shape | None, out: Shape) -> Cost:
    """Count the same in its newer form, which has no scale of the result."""
    return scaled_mm(self, mat2, bias, None, out)


@formula("aten::_scaled_addmm")
def scaled_addmm(mat1: TensorSpec, mat2: Shape, beta: Factor, alpha: Factor, out: Shape) -> Cost:
    """Count ``β·self + α·product`` of scaled operands."""
    total = weighted(prod(unpacked(mat1)) * mat2[1], prod(out), beta, alpha)
    return replace(total, other_flops=total.other_flops + 2 * prod(out))


@formula("aten::_weight_int8pack_mm")
def int8_weight_mm(self: Shape, mat2: Shape, out: Shape) -> Cost:
    """Count ``(M, K) @ (N, K)ᵀ`` with 8-bit weights, and one scale for each result."""
    return Cost(macs=prod(self) * mat2[0], other_flops=prod(out))


@formula(
    "aten::_weight_int4pack_mm", "aten::_weight_int4pack_mm_for_cpu",
    "aten::_weight_int4pack_mm_with_scales_and_zeros",
)  # fmt: skip
def int4_weight_mm(self: Shape, out: Shape) -> Cost:
    """Count ``(M, K) @ (N, K)ᵀ`` with packed 4-bit weights, each of which is scaled and shifted before, once."""
    k, n = self[-1], out[-1]
    return Cost(macs=prod(self) * n, other_flops=2 * k * n)


@formula("aten::_dyn_quant_matmul_4bit")
def dynamic_int4_mm(inp: Shape, out_features: int, out: Shape) -> Cost:
    """Count ``(M, K) @ (N, K)ᵀ`` with packed 4-bit weights and rows that are quantized by their own ranges.

    Each row is searched for its range and quantized, each result is scaled and gets the bias that may be packed.
    """
    k = inp[-1]
    rows = prod(inp[:-1])
    quantized = rows * dynamic_quantization_flops(k)
    return Cost(macs=rows * k * out_features, other_flops=quantized + 2 * prod(out))


@formula("aten::_mixed_dtypes_linear")
def mixed_dtypes_linear(input: Shape, bias: Shape | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (K, N) + bias`` with integer weights, which are scaled on each result."""
    return biased(prod(input) * out[-1], prod(out), "scale", bias)
