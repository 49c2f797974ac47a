"""What a kernel does to the results of a product while it has them at hand: scale, bias, activation.

Legend: R elements of the result. It is arithmetic outside the MACs: one FLOP for each element and operation, and for an
activation what ``activations.py`` says.
"""

from __future__ import annotations

from dataclasses import replace

from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, TensorSpec

#: A factor of a sum; None is a float whose value was not kept.
Factor = int | float | None

#: Expressions of one element, by the names of activations in fused operators where those are not torch's own.
_EXPRESSIONS = {
    "add": "x + y",
    "iadd": "x + y",
    "mul": "x * y",
    "sub": "x - y",
    "sum": "x + y",
    "swish": "x / (1 + exp(-x))",
    "tanh": "tanh(x)",
}
#: Arguments of an activation that is fused: floats that are not kept.
_ARGUMENTS = {"negative_slope": None, "min_val": None, "max_val": None}


def weighted(macs: int, results: int, beta: Factor, alpha: Factor, *read: TensorSpec) -> Cost:
    """Count ``β·self + α·product``, where *read* are the operands of the product.

    R adds, R multiplies for a β and R for an α other than 1; with β = 0 ``self`` is not even read.
    """
    unread = beta == 0
    return Cost(
        macs=macs,
        other_flops=results * ((not unread) + (beta not in {0, 1}) + (alpha != 1)),
        bytes_read=sum(operand.bytes for operand in read) if unread and read else None,
    )


def biased(macs: int, results: int, *added: object) -> Cost:
    """Count a product and R adds for each of the biases that are there."""
    return Cost(macs=macs, other_flops=results * sum(bias is not None for bias in added))


def activated(product: Cost, results: int, activation: str, approximate: str | None = None) -> Cost:
    """Add an activation, or one operation with a second operand ("add", "mul" …), for each of the *results*."""
    if activation == "none":
        return product
    expression = _EXPRESSIONS.get(activation) or ACTIVATIONS[activation]
    flops, transcendentals = operations(expression, {**_ARGUMENTS, "approximate": approximate})
    return replace(
        product,
        other_flops=product.other_flops + results * flops,
        transcendentals=product.transcendentals + results * transcendentals,
    )
