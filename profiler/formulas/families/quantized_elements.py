"""What else is done to quantized tensors: arithmetic, activations, normalisation, embeddings.

Kernels compute in floating point: every operand is dequantized, the operator is that of its floating-point form, and
the result is quantized (``quantization.py``). What only compares does so on the integers as they are.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.families.norms import group_norm, layer_norm
from profiler.formulas.families.quantization import DEQUANTIZE, quantize
from profiler.formulas.families.softmax import softmax
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, Shape, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Of two quantized tensors.
_BINARY: Mapping[str, str] = {
    f"{name}{relu}.{overload}": f"max(x {sign} y, 0)" if relu else f"x {sign} y"
    for name, sign in {"add": "+", "mul": "*"}.items()
    for relu in ("", "_relu")
    for overload in ("default", "out")
}
#: Of one, perhaps with a number.
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
#: Of the integers.
_COMPARED: Mapping[str, str] = {
    "clamp": "min(max(x, MIN), MAX)",
    "relu6": "min(max(x, 0), 6)",
    "threshold": "where(x > THRESHOLD, x, VALUE)",
}
#: Arguments of an activation whose values are not kept.
_UNKNOWN = {"alpha": None, "scale": None, "input_scale": None, "negative_slope": None, "min": None, "max": None}


def _elementwise(expression: str, around: int) -> Callable[..., Cost]:
    """Make the formula of an expression, with so many operations around it for each element."""
    took = operations(expression, _UNKNOWN)

    def cost(out: Shape) -> Cost:
        results = prod(out)
        return Cost(other_flops=results * (took.flops + around), transcendentals=results * took.transcendentals)

    return cost


for _operands, _table in ((2, _BINARY), (1, _UNARY)):
    for _name, _expression in _table.items():
        formula(f"quantized::{_name}")(_elementwise(_expression, _operands * DEQUANTIZE + quantize()))
for _name, _expression in _COMPARED.items():
    formula(f"quantized::{_name}")(_elementwise(_expression, 0))


@formula("aten::quantized_batch_norm")
def batch_norm(out: Shape) -> Cost:
    """Count a multiply and an add for each element, whatever the statistics are."""
    return Cost(other_flops=prod(out) * (DEQUANTIZE + 2 + quantize()))


@formula("quantized::layer_norm")
def quantized_layer_norm(
    input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, bias: TensorSpec | None
) -> Cost:
    """Count a layer normalisation."""
    return _around(layer_norm(input, normalized_shape, weight, bias), input)


@formula("quantized::group_norm")
def quantized_group_norm(
    input: TensorSpec, num_groups: int, weight: TensorSpec | None, bias: TensorSpec | None
) -> Cost:
    """Count a group normalisation."""
    return _around(group_norm(input, weight, bias, input.shape[0], num_groups), input)


@formula("quantized::instance_norm")
def quantized_instance_norm(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count a normalisation of every channel of every sample."""
    return _around(group_norm(input, weight, bias, input.shape[0], input.shape[1]), input)


@formula("quantized::softmax")
def quantized_softmax(qx: TensorSpec, dim: int) -> Cost:
    """Count a softmax."""
    return _around(softmax(qx, dim), qx)


@formula("quantized::embedding_byte", "quantized::embedding_4bit")
def embedding(indices: TensorSpec, out: TensorSpec) -> Cost:
    """Dequantize the rows that are picked: a multiply and an add for each element, which is read in a byte."""
    picked = prod(out.shape)
    return Cost(other_flops=picked * DEQUANTIZE, bytes_read=indices.bytes + picked)


@formula(
    "quantized::embedding_bag_byte", "quantized::embedding_bag_4bit",
    "quantized::embedding_bag_byte_rowwise_offsets", "quantized::embedding_bag_4bit_rowwise_offsets",
)  # fmt: skip
def embedding_bag(indices: TensorSpec, per_sample_weights: TensorSpec | None, out: TensorSpec) -> Cost:
    """Dequantize the rows that are picked, weight them where that is asked for, and add up those of each bag."""
    picked = prod(indices.shape) * out.shape[-1]
    flops = picked * (DEQUANTIZE + (per_sample_weights is not None)) + reduction_ops(picked, prod(out.shape))
    return Cost(other_flops=flops, bytes_read=indices.bytes + picked)


def _around(cost: Cost, spec: TensorSpec) -> Cost:
    """Add what it takes to dequantize and to quantize every element; statistics stay inside the kernel."""
    flops = cost.other_flops + prod(spec.shape) * (DEQUANTIZE + quantize())
    return replace(cost, other_flops=flops, bytes_written=None)
