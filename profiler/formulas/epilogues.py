"""Count the epilogue of a product: scaling, bias and activation, which a fused kernel applies to the results.

Legend: R elements of the result. These operations are not MACs: each takes one FLOP per element, and an activation
what its expression in ``families/activations.py`` takes.
"""

from __future__ import annotations

from dataclasses import replace

from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, Number, TensorSpec

#: Expressions of activations that fused operators name differently from torch, and of binary operations.
_EXPRESSIONS = {
    "add": "x + y",
    "iadd": "x + y",
    "mul": "x * y",
    "sub": "x - y",
    "sum": "x + y",
    "swish": "x / (1 + exp(-x))",
    "tanh": "tanh(x)",
}
#: Arguments of fused activations, whose values are not recorded.
_ARGUMENTS = {"negative_slope": None, "min_val": None, "max_val": None}


def weighted_sum(macs: int, results: int, beta: Number, alpha: Number, *operands: TensorSpec) -> Cost:
    """Return the cost of ``β·self + α·product``, where the product of *operands* takes *macs*.

    The sum takes R adds, and R multiplies for each of β and α that is not 1. If β = 0, ``self`` is neither added nor
    read.
    """
    ignores_self = beta == 0
    return Cost(
        macs=macs,
        other_flops=results * ((not ignores_self) + (beta not in {0, 1}) + (alpha != 1)),
        bytes_read=sum(operand.bytes for operand in operands) if ignores_self and operands else None,
    )


def with_bias(macs: int, results: int, *biases: object) -> Cost:
    """Return the cost of a product and one operation per result for each of *biases* that is not None."""
    return Cost(macs=macs, other_flops=results * sum(bias is not None for bias in biases))


def with_activation(product: Cost, results: int, activation: str, approximate: str | None = None) -> Cost:
    """Add an activation, or a binary operation with a second operand ("add", "mul" …), of each result to a cost."""
    if activation == "none":
        return product
    expression = _EXPRESSIONS.get(activation) or ACTIVATIONS[activation]
    flops, transcendentals = operations(expression, {**_ARGUMENTS, "approximate": approximate})
    return replace(
        product,
        other_flops=product.other_flops + results * flops,
        transcendentals=product.transcendentals + results * transcendentals,
    )
