"""Margin losses over C classes: each compares the score of a target class with the scores of the others.

Source: https://docs.pytorch.org/docs/stable/nn.html#loss-functions (MultiMarginLoss, MultiLabelMarginLoss).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.losses import MEAN, reduction_flops
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape

_SQUARE = 2


@formula("aten::multi_margin_loss")
def multi_margin_loss(self: Shape, p: float, weight: Shape | None, reduction: int) -> Cost:
    """Count ``w·Σ max(0, m − x_t + x_c)^p / C`` over the C − 1 other classes of each sample, p being 1 or 2.

    Each sample takes one subtraction ``m − x_t``; each other class an add, a compare and, for p = 2, a square; then
    their sum and the division by C.
    """
    samples, others = prod(self[:-1]), _classes(self) - 1
    each = 1 + others * (2 + (p == _SQUARE)) + reduction_ops(others, 1) + 1 + (weight is not None)
    return Cost(other_flops=samples * each + reduction_flops(samples, reduction))


@formula("aten::multi_margin_loss_backward")
def multi_margin_loss_backward(self: Shape, p: float, weight: Shape | None, reduction: int) -> Cost:
    """Count the gradients: ``grad·w/C`` (times 2z for p = 2) per class within the margin.

    ``z = m − x_t + x_c`` and its compare are computed again. The gradient of the target is minus the sum of the others.
    """
    samples, others = prod(self[:-1]), _classes(self) - 1
    margins = 1 + 2 * others
    gradients = 1 + (weight is not None) + 2 * others * (p == _SQUARE) + reduction_ops(others, 1) + 1
    return Cost(other_flops=samples * (margins + gradients) + (reduction == MEAN))


@formula("aten::multilabel_margin_loss_forward")
def multilabel_margin_loss(self: Shape, reduction: int) -> Cost:
    """Count ``Σ max(0, 1 − x_t + x_c) / C`` over the pairs of a target class and a non-target class.

    An upper bound: the number of targets depends on the data, and C/2 targets give the most pairs.
    """
    samples, targets, pairs = _most_pairs(self)
    each = targets + 2 * pairs + reduction_ops(pairs, 1) + 1
    return Cost(other_flops=samples * each + reduction_flops(samples, reduction))


@formula("aten::multilabel_margin_loss_backward")
def multilabel_margin_loss_backward(self: Shape, reduction: int) -> Cost:
    """Count the same pairs again; each adds ``grad/C`` to one class and subtracts it from another."""
    samples, targets, pairs = _most_pairs(self)
    each = targets + 2 * pairs + 2 * pairs + 1 + _classes(self)
    return Cost(other_flops=samples * each + (reduction == MEAN))


def _most_pairs(shape: Shape) -> tuple[int, int, int]:
    """Return the number of samples, and the targets and pairs per sample when half of the classes are targets."""
    targets = _classes(shape) // 2
    return prod(shape[:-1]), targets, targets * (_classes(shape) - targets)


def _classes(shape: Shape) -> int:
    """Return the number of classes; a scalar has one."""
    return shape[-1] if shape else 1
