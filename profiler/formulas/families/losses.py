"""Losses: an expression per element, and the reduction over the elements.

``reduction`` 0 keeps the N elements, 1 is their mean (N − 1 adds, a divide), 2 their sum (N − 1 adds). The backward
pass of a mean first divides the incoming gradient by N. Expressions are counted as in ``scalar_expressions.py``: if a
loss has two branches, both are computed. Losses that are not here run as several other operators.

Source: https://docs.pytorch.org/docs/stable/nn.html#loss-functions, and the derivatives of those definitions.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.values.records import Number, Shape, TensorSpec, Value

#: Expressions per element; x is the input, t the target, grad the incoming gradient.
_SQUARED = "(x - t) ** 2"
_SQUARED_BACKWARD = "2 * (x - t) * grad"
_SMOOTH_L1 = "where((z := abs(x - t)) < BETA, 0.5 * z * z / BETA, z - 0.5 * BETA)"
_SMOOTH_L1_BACKWARD = "min(max((x - t) / BETA, -1), 1) * grad"
_HUBER = "where((z := abs(x - t)) < DELTA, 0.5 * z * z, DELTA * (z - 0.5 * DELTA))"
_HUBER_BACKWARD = "min(max(x - t, -DELTA), DELTA) * grad"
_CROSS_ENTROPY = "(t - 1) * max(log(1 - x), -100) - t * max(log(x), -100)"
_CROSS_ENTROPY_BACKWARD = "grad * (x - t) / max((1 - x) * x, 1e-12)"
_WITH_LOGITS = "(1 - t) * x + log(1 + exp(-x))"
_WITH_LOGITS_WEIGHTED = "(1 - t) * x + (1 + odds * t) * log(1 + exp(-x))"
_SOFT_MARGIN = "log(1 + exp(-t * x))"
_SOFT_MARGIN_BACKWARD = "(y := -t, z := exp(y * x), y * z / (z + 1) * grad)"

MEAN = 1


@formula("aten::mse_loss")
def mse_loss(self: Shape, target: Shape, reduction: int) -> Cost:
    """Count ``(x − t)²``."""
    return _loss(_SQUARED, (self, target), reduction)


@formula("aten::mse_loss_backward")
def mse_loss_backward(out: Shape, reduction: int) -> Cost:
    """Count ``2(x − t)·grad``."""
    return _backward(_SQUARED_BACKWARD, out, reduction)


@formula("aten::smooth_l1_loss")
def smooth_l1_loss(self: Shape, target: Shape, reduction: int, beta: Number) -> Cost:
    """Count ``(x − t)²/2β`` and ``|x − t| − β/2``, and the compare that selects one."""
    return _loss(_SMOOTH_L1, (self, target), reduction, {"beta": beta})


@formula("aten::smooth_l1_loss_backward")
def smooth_l1_loss_backward(out: Shape, reduction: int, beta: Number) -> Cost:
    """Count ``(x − t)/β``, clamped to ±1, times grad."""
    return _backward(_SMOOTH_L1_BACKWARD, out, reduction, {"beta": beta})


@formula("aten::huber_loss")
def huber_loss(self: Shape, target: Shape, reduction: int, delta: Number) -> Cost:
    """Count ``(x − t)²/2`` and ``δ·(|x − t| − δ/2)``, and the compare that selects one."""
    return _loss(_HUBER, (self, target), reduction, {"delta": delta})


@formula("aten::huber_loss_backward")
def huber_loss_backward(out: Shape, reduction: int, delta: Number) -> Cost:
    """Count ``x − t``, clamped to ±δ, times grad."""
    return _backward(_HUBER_BACKWARD, out, reduction, {"delta": delta})


@formula("aten::binary_cross_entropy")
def binary_cross_entropy(self: Shape, target: Shape, weight: Shape | None, reduction: int) -> Cost:
    """Count ``−t·log x − (1 − t)·log(1 − x)``, with each logarithm clamped to at least −100."""
    return _loss(_CROSS_ENTROPY, (self, target), reduction, weighted=weight is not None)


@formula("aten::binary_cross_entropy_backward")
def binary_cross_entropy_backward(out: Shape, weight: Shape | None, reduction: int) -> Cost:
    """Count ``grad·(x − t)/(x(1 − x))``, with the denominator clamped to a positive minimum."""
    return _backward(_CROSS_ENTROPY_BACKWARD, out, reduction, weighted=weight is not None)


@formula("aten::binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    self: Shape, target: Shape, weight: Shape | None, pos_weight: Shape | None, reduction: int
) -> Cost:
    """Count ``(1 − t)·x + (1 + (p − 1)·t)·log(1 + exp(−x))``; p − 1 is computed once per element of *pos_weight*."""
    expression = _WITH_LOGITS if pos_weight is None else _WITH_LOGITS_WEIGHTED
    once = 0 if pos_weight is None else prod(pos_weight)
    return _loss(expression, (self, target), reduction, weighted=weight is not None, once=once)


@formula("aten::soft_margin_loss")
def soft_margin_loss(self: Shape, target: Shape, reduction: int) -> Cost:
    """Count ``log(1 + exp(−t·x))``."""
    return _loss(_SOFT_MARGIN, (self, target), reduction)


@formula("aten::soft_margin_loss_backward")
def soft_margin_loss_backward(out: Shape, reduction: int) -> Cost:
    """Count ``−t·z/(z + 1)·grad`` with ``z = exp(−t·x)``."""
    return _backward(_SOFT_MARGIN_BACKWARD, out, reduction)


@formula("aten::nll_loss_forward", "aten::nll_loss2d_forward")
def nll_loss(self: TensorSpec, target: TensorSpec, weight: TensorSpec | None, reduction: int) -> Cost:
    """Count the negated log-probability of each target, times its weight; no target is assumed to be ignored.

    Only the selected elements are read. With a reduction the sum is negated once. A weighted mean divides by the sum of
    the weights.
    """
    n, weighted = prod(target.shape), weight is not None
    selected_bytes = n * int(self.itemsize) * (1 + weighted)
    if reduction == 0:
        return Cost(other_flops=n * (1 + weighted), bytes_read=target.bytes + selected_bytes)
    sums = reduction_ops(n, 1) + weighted * (n + reduction_ops(n, 1))
    return Cost(other_flops=sums + 1 + (reduction == MEAN), bytes_read=target.bytes + selected_bytes)


@formula("aten::nll_loss_backward", "aten::nll_loss2d_backward")
def nll_loss_backward(
    grad_output: TensorSpec, target: TensorSpec, weight: TensorSpec | None, reduction: int, total_weight: TensorSpec
) -> Cost:
    """Count negating and weighting the gradient of each target; the gradients of other classes are zero."""
    n, weighted = prod(target.shape), weight is not None
    mean = reduction == MEAN
    read = grad_output.bytes + target.bytes + total_weight.bytes * mean + n * int(grad_output.itemsize) * weighted
    return Cost(other_flops=prod(grad_output.shape) + n * weighted + mean, bytes_read=read)


def _loss(
    expression: str,
    operands: tuple[Shape, Shape],
    reduction: int,
    arguments: Mapping[str, Value] | None = None,
    *,
    weighted: bool = False,
    once: int = 0,
) -> Cost:
    """Count an expression per element of the broadcast operands, a weight, *once* more FLOPs, and the reduction."""
    n = prod(torch.broadcast_shapes(*operands))
    each = operations(expression, arguments or {})
    return Cost(
        other_flops=n * (each.flops + weighted) + once + reduction_flops(n, reduction),
        transcendentals=n * each.transcendentals,
    )


def _backward(
    expression: str, out: Shape, reduction: int, arguments: Mapping[str, Value] | None = None, *, weighted: bool = False
) -> Cost:
    n, each = prod(out), operations(expression, arguments or {})
    return Cost(other_flops=n * (each.flops + weighted) + (reduction == MEAN), transcendentals=n * each.transcendentals)


def reduction_flops(n: int, reduction: int) -> int:
    """Count the FLOPs of reducing N elements to their sum or mean."""
    return 0 if reduction == 0 else reduction_ops(n, 1) + (reduction == MEAN)
