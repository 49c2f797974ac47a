"""Elementwise operators, activations, normalisation and embeddings of quantized tensors.

These kernels compute in floating point: they dequantize every operand, run the floating-point operator, and quantize
the result (see ``quantization.py``). Operators that only compare, such as clamp, run on the integers directly.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.families.norms import group_norm, layer_norm
from profiler.formulas.families.quantization import DEQUANTIZE_FLOPS, quantize_flops
from profiler.formulas.families.softmax import softmax
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, Number, Shape, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Expressions of operators on two quantized tensors.
_BINARY: Mapping[str, str] = {
    f"{name}{relu}.{overload}": f"max(x {sign} y, 0)" if relu else f"x {sign} y"
    for name, sign in {"add": "+", "mul": "*"}.items()
    for relu in ("", "_relu")
    for overload in ("default", "out")
}
#: Expressions of operators on one quantized tensor, some with a scalar.
_UNARY: Mapping[str, str] = {
    **{name.replace("default", "Scalar"): expression for name, expression in _BINARY.items() if "default" in name},
    **{name.replace("default", "Scalar2"): expression for name, expression in _BINARY.items() if "default" in name},
    **{name.replace("out", "Scalar_out"): expression for name, expression in _BINARY.items() if "out" in name},
    "add_scalar": "x + y",
    "add_scalar_relu": "max(x + y, 0)",
    "mul_scalar": "x * y",
    "mul_scalar_relu": "max(x * y, 0)",
    **{name: ACTIVATIONS[name] for name in ("celu", "elu", "hardswish", "leaky_relu", "sigmoid")},
    "prelu": ACTIVATIONS["_prelu_kernel"],
    "batch_norm": "x * a + b",
    "batch_norm_relu": "max(x * a + b, 0)",
    **{f"batch_norm{d}d": "x * a + b" for d in (1, 2, 3)},
    **{f"batch_norm{d}d_relu": "max(x * a + b, 0)" for d in (1, 2, 3)},
    "cat": "x",
    "cat_relu": "max(x, 0)",
}
#: Expressions of operators that run on the integers.
_INTEGER: Mapping[str, str] = {
    "relu6": "min(max(x, 0), 6)",
    "threshold": "where(x > THRESHOLD, x, VALUE)",
}
#: Arguments of activations whose values are not recorded.
_UNKNOWN = {"alpha": None, "scale": None, "input_scale": None, "negative_slope": None}


def _elementwise(expression: str, conversion: int) -> Callable[..., Cost]:
    """Build the formula of an expression; *conversion* is the FLOPs per element to dequantize and quantize."""
    per_element = operations(expression, _UNKNOWN)

    def cost(out: Shape) -> Cost:
        """Count the arithmetic of one element, and the conversions around it, for each element of the result."""
        results = prod(out)
        return Cost(
            other_flops=results * (per_element.flops + conversion),
            transcendentals=results * per_element.transcendentals,
        )

    return cost


for _operands, _table in ((2, _BINARY), (1, _UNARY)):
    for _name, _expression in _table.items():
        formula(f"quantized::{_name}")(_elementwise(_expression, _operands * DEQUANTIZE_FLOPS + quantize_flops()))
for _name, _expression in _INTEGER.items():
    formula(f"quantized::{_name}")(_elementwise(_expression, 0))


@formula("quantized::clamp")
def clamp(min: Number | None, max: Number | None, out: Shape) -> Cost:
    """Count a compare per element and bound, on the integers."""
    return Cost(other_flops=prod(out) * ((min is not None) + (max is not None)))


@formula("aten::quantized_batch_norm")
def batch_norm(out: Shape) -> Cost:
    """Count a multiply and an add per element: the statistics are folded into scale and shift."""
    return Cost(other_flops=prod(out) * (DEQUANTIZE_FLOPS + 2 + quantize_flops()))


@formula("quantized::layer_norm")
def quantized_layer_norm(
    input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, bias: TensorSpec | None
) -> Cost:
    """Count a layer normalisation on dequantized values."""
    return _with_conversion(layer_norm(input, normalized_shape, weight, bias), input)


@formula("quantized::group_norm")
def quantized_group_norm(
    input: TensorSpec, num_groups: int, weight: TensorSpec | None, bias: TensorSpec | None
) -> Cost:
    """Count a group normalisation on dequantized values."""
    return _with_conversion(group_norm(input, weight, bias, input.shape[0], num_groups), input)


@formula("quantized::instance_norm")
def quantized_instance_norm(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count an instance normalisation on dequantized values: one group per channel and sample."""
    return _with_conversion(group_norm(input, weight, bias, input.shape[0], input.shape[1]), input)


@formula("quantized::softmax")
def quantized_softmax(qx: TensorSpec, dim: int) -> Cost:
    """Count a softmax on dequantized values."""
    return _with_conversion(softmax(qx, dim), qx)


@formula("quantized::embedding_byte", "quantized::embedding_4bit")
def embedding(indices: TensorSpec, out: TensorSpec) -> Cost:
    """Count the dequantization of the selected rows; each element is read as one byte."""
    elements = prod(out.shape)
    return Cost(other_flops=elements * DEQUANTIZE_FLOPS, bytes_read=indices.bytes + elements)


@formula(
    "quantized::embedding_bag_byte", "quantized::embedding_bag_4bit",
    "quantized::embedding_bag_byte_rowwise_offsets", "quantized::embedding_bag_4bit_rowwise_offsets",
)  # fmt: skip
def embedding_bag(indices: TensorSpec, per_sample_weights: TensorSpec | None, out: TensorSpec) -> Cost:
    """Count the dequantization of the selected rows, their weights if there are any, and the sum of each bag."""
    elements = prod(indices.shape) * out.shape[-1]
    flops = elements * (DEQUANTIZE_FLOPS + (per_sample_weights is not None)) + reduction_ops(elements, prod(out.shape))
    return Cost(other_flops=flops, bytes_read=indices.bytes + elements)


def _with_conversion(cost: Cost, spec: TensorSpec) -> Cost:
    """Return *cost* plus dequantizing and quantizing every element; statistics are not written out."""
    flops = cost.other_flops + prod(spec.shape) * (DEQUANTIZE_FLOPS + quantize_flops())
    return replace(cost, other_flops=flops, bytes_written=None)
