"""Quantize, dequantize and requantize: FLOPs per element; dynamic quantization and range observers.

Quantizing computes ``min(max(round(x / scale) + zero_point, qmin), qmax)``: five FLOPs, or four if the zero point is 0.
Requantizing an integer sum to the scale of the result takes the same, with a multiply for the divide. Dequantizing
computes ``(q − zero_point)·scale``: two. Computing scale and zero point from a range takes a few operations per tensor
and is not counted.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.pointwise import EXPRESSIONS
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, Shape, TensorSpec

#: FLOPs to dequantize one element.
DEQUANTIZE_FLOPS = operations(EXPRESSIONS["dequantize"], {}).flops
#: FLOPs of one update of an exponential moving average, ``r + c·(x − r)``.
_AVERAGE = operations("r + CONST * (x - r)", {"const": None}).flops


def quantize_flops(zero_point: int | None = None) -> int:
    """Return the FLOPs to quantize one element; None is an unknown zero point, counted as nonzero."""
    return operations(EXPRESSIONS["quantize_per_tensor"], {"scale": None, "zero_point": zero_point}).flops


def with_requantization(product: Cost, results: int, zero_point: int | None) -> Cost:
    """Return the cost of *product* plus the requantization of its *results*."""
    return replace(product, other_flops=product.other_flops + results * quantize_flops(zero_point))


def dynamic_quantization_flops(elements: int) -> int:
    """Return the FLOPs to find the minimum and maximum of a tensor and to quantize it to that range."""
    return 2 * reduction_ops(elements, 1) + elements * quantize_flops()


@formula("aten::quantize_per_tensor_dynamic")
def quantize_dynamic(self: TensorSpec) -> Cost:
    """Count the minimum, the maximum and the quantization of a tensor."""
    return Cost(other_flops=dynamic_quantization_flops(numel(self)))


@formula("aten::_fused_moving_avg_obs_fq_helper", "aten::_fused_moving_avg_obs_fq_helper_functional")
def observe_and_fake_quantize(self: Shape, ch_axis: int, per_row_fake_quant: bool) -> Cost:
    """Count the range, its moving average and the fake quantization, as if both observer and quantizer are enabled.

    There is one range for the tensor, or one per index of *ch_axis*; its minimum and maximum are averaged.
    """
    n, ranges = prod(self), self[ch_axis] if per_row_fake_quant else 1
    fake = operations(EXPRESSIONS["fake_quantize_per_tensor_affine_cachemask"], {"scale": None, "zero_point": None})
    return Cost(other_flops=2 * reduction_ops(n, ranges) + 2 * ranges * _AVERAGE + n * fake.flops)
