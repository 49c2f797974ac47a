"""Margin losses over the C classes of each sample: pairs of a target class with another.

Source: https://docs.pytorch.org/docs/stable/nn.html#loss-functions (MultiMarginLoss, MultiLabelMarginLoss).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.losses import MEAN, reduced
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape

_SQUARE = 2


@formula("aten::multi_margin_loss")
def multi_margin_loss(self: Shape, p: float, weight: Shape | None, reduction: int) -> Cost:
    """Count ``w·Σ max(0, m − x_t + x_c)^p / C`` over the C − 1 other classes of each sample, p being 1 or 2.

    ``m − x_t`` once, then an add, a compare and for p = 2 a square for each other class, their sum, and the division.
    """
    samples, others = prod(self[:-1]), _classes(self) - 1
    each = 1 + others * (2 + (p == _SQUARE)) + reduction_ops(others, 1) + 1 + (weight is not None)
    return Cost(other_flops=samples * each + reduced(samples, reduction))


@formula("aten::multi_margin_loss_backward")
def multi_margin_loss_backward(self: Shape, p: float, weight: Shape | None, reduction: int) -> Cost:
    """Count the gradients ``grad·w/C``, for p = 2 times 2z, of the classes within the margin; the target's is −Σ.

    ``z = m − x_t + x_c`` and its compare are made anew.
    """
    samples, others = prod(self[:-1]), _classes(self) - 1
    margins = 1 + 2 * others
    gradients = 1 + (weight is not None) + 2 * others * (p == _SQUARE) + reduction_ops(others, 1) + 1
    return Cost(other_flops=samples * (margins + gradients) + (reduction == MEAN))


@formula("aten::multilabel_margin_loss_forward")
def multilabel_margin_loss(self: Shape, reduction: int) -> Cost:
    """Count ``Σ max(0, 1 − x_t + x_c) / C`` over the pairs of a target with a class that is none: an upper bound.

    How many of the C classes are targets depends on data; half of them make the most pairs.
    """
    samples, targets, pairs = _most_pairs(self)
    each = targets + 2 * pairs + reduction_ops(pairs, 1) + 1
    return Cost(other_flops=samples * each + reduced(samples, reduction))


@formula("aten::multilabel_margin_loss_backward")
def multilabel_margin_loss_backward(self: Shape, reduction: int) -> Cost:
    """Count the same pairs anew; each adds to one class and subtracts from another, in units of ``grad/C``."""
    samples, targets, pairs = _most_pairs(self)
    each = targets + 2 * pairs + 2 * pairs + 1 + _classes(self)
    return Cost(other_flops=samples * each + (reduction == MEAN))


def _most_pairs(shape: Shape) -> tuple[int, int, int]:
    """Give the samples, the targets of each, and its pairs, with half of the classes as targets."""
    targets = _classes(shape) // 2
    return prod(shape[:-1]), targets, targets * (_classes(shape) - targets)


def _classes(shape: Shape) -> int:
    """Count the classes; a single score is of one."""
    return shape[-1] if shape else 1
