"""Between floating-point numbers and quantized ones: what it takes per element, and the observers of ranges.

To quantize is ``min(max(round(x / scale) + zero_point, qmin), qmax)``, five FLOPs, or four without a zero point; to
bring an integer sum to the scale of a quantized result is the same with a multiply. To dequantize is
``(q − zero_point)·scale``, two. Choosing scale and zero point from a range is a few operations a tensor: left out.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.pointwise import EXPRESSIONS
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, Shape, TensorSpec

#: Operations to dequantize an element.
DEQUANTIZE = operations(EXPRESSIONS["dequantize"], {}).flops
#: A step of an exponential average: ``r + c·(x − r)``.
_AVERAGE = operations("r + CONST * (x - r)", {"const": None}).flops


def quantize(zero_point: int | None = None) -> int:
    """Count the operations to quantize an element, to a zero point that is known or not."""
    return operations(EXPRESSIONS["quantize_per_tensor"], {"scale": None, "zero_point": zero_point}).flops


def requantized(product: Cost, results: int, zero_point: int | None) -> Cost:
    """Add to a product what brings its sums to the scale of a quantized result."""
    return replace(product, other_flops=product.other_flops + results * quantize(zero_point))


def quantized_dynamically(elements: int) -> int:
    """Count the search for the smallest and largest of a tensor, and the quantization by them."""
    return 2 * reduction_ops(elements, 1) + elements * quantize()


@formula("aten::quantize_per_tensor_dynamic")
def quantize_dynamic(self: TensorSpec) -> Cost:
    """Count the search for the range, and the quantization."""
    return Cost(other_flops=quantized_dynamically(numel(self)))


@formula("aten::_fused_moving_avg_obs_fq_helper", "aten::_fused_moving_avg_obs_fq_helper_functional")
def observe_and_fake_quantize(self: Shape, ch_axis: int, per_row_fake_quant: bool) -> Cost:
    """Count, as if both were switched on: the range, its moving average, and the fake quantization.

    Ranges are one for the tensor, or one for each index of *ch_axis*; their two ends are averaged with the last ones.
    """
    n, ranges = prod(self), self[ch_axis] if per_row_fake_quant else 1
    fake = operations(EXPRESSIONS["fake_quantize_per_tensor_affine_cachemask"], {"scale": None, "zero_point": None})
    return Cost(other_flops=2 * reduction_ops(n, ranges) + 2 * ranges * _AVERAGE + n * fake.flops)
