"""Margin losses against their definition, on numbers that count their operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formulas.array_operations import Tally, assert_agree, backward, counts, entry, maximum
from torch.nn import functional as F  # noqa: N812 - its usual name

REDUCTIONS = ["none", "mean", "sum"]


def reduced(losses, reduction):
    losses = np.array(losses, dtype=object)
    if reduction == "none":
        return losses
    return losses.sum() / losses.size if reduction == "mean" else losses.sum()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("p", [1, 2])
def test_a_margin_of_one_class_costs_its_definition(p, weighted, reduction):
    x, target, t = torch.randn(4, 5), torch.randint(5, (4,)), Tally()
    w = torch.rand(5) if weighted else None
    run = lambda: F.multi_margin_loss(x, target, p=p, weight=w, reduction=reduction)
    losses = []
    for row, y in zip(t.array(x), target.tolist(), strict=True):
        room = 1 - row[y]
        z = maximum(np.delete(row, y) + room, 0)
        loss = (z if p == 1 else z * z).sum() / 5
        losses.append(loss * t.array(w)[y] if weighted else loss)
    assert_agree([reduced(losses, reduction)], [run()])
    assert counts(entry("aten.multi_margin_loss", run)) == t.counts


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("p", [1, 2])
def test_backward_of_a_margin_of_one_class_costs_its_definition(p, weighted, reduction):
    # The scores are so close that every class is within the margin and gets a gradient.
    x, target, t = (torch.rand(4, 5) / 4).requires_grad_(), torch.randint(5, (4,)), Tally()
    w = torch.rand(5) if weighted else None
    y = F.multi_margin_loss(x, target, p=p, weight=w, reduction=reduction)
    dy = torch.randn_like(y)
    cost = entry("aten.multi_margin_loss_backward", lambda: y.backward(dy))
    g = t.array(dy)
    g = np.broadcast_to(g / 4 if reduction == "mean" else g, (4,))
    rows = []
    for row, y_, grad in zip(t.array(x), target.tolist(), g, strict=True):
        unit = (grad * t.array(w)[y_] if weighted else grad) / 5
        room = 1 - row[y_]
        z = np.delete(row, y_) + room
        assert (z > 0).all()
        others = [unit if p == 1 else 2 * each * unit for each in z]
        own = -sum(others[1:], others[0])
        rows.append([*others[:y_], own, *others[y_:]])
    assert_agree([np.array(rows, dtype=object)], [x.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margins_of_several_classes_are_bounded_by_half_of_them_as_targets(reduction):
    x, t = torch.randn(3, 5), Tally()
    target = torch.tensor([[0, 3, -1, -1, -1], [1, 2, -1, -1, -1], [4, 0, -1, -1, -1]])
    run = lambda: F.multilabel_margin_loss(x, target, reduction=reduction)
    losses = []
    for row, labels in zip(t.array(x), target.tolist(), strict=True):
        targets = [label for label in labels if label >= 0]
        room = [1 - row[label] for label in targets]
        others = [row[i] for i in range(5) if i not in targets]
        losses.append(np.array([maximum(r + o, 0) for r in room for o in others]).sum() / 5)
    assert_agree([reduced(losses, reduction)], [run()])
    assert counts(entry("aten.multilabel_margin_loss_forward", run)) == t.counts


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_backward_of_margins_of_several_classes_has_the_same_bound(reduction):
    x, t = (torch.rand(2, 4) / 4).requires_grad_(), Tally()
    target = torch.tensor([[0, 3, -1, -1], [1, 2, -1, -1]])
    y = F.multilabel_margin_loss(x, target, reduction=reduction)
    dy = torch.randn_like(y)
    cost = entry("aten.multilabel_margin_loss_backward", lambda: y.backward(dy))
    g = t.array(dy)
    g = np.broadcast_to(g / 2 if reduction == "mean" else g, (2,))
    rows = []
    for row, labels, grad in zip(t.array(x), target.tolist(), g, strict=True):
        targets, gradient = [label for label in labels if label >= 0], t.zeros(4)
        room = {label: 1 - row[label] for label in targets}
        for label in targets:
            for i in set(range(4)) - set(targets):
                assert room[label] + row[i] > 0
                gradient[i] = gradient[i] + 1
                gradient[label] = gradient[label] - 1
        rows.append(gradient * (grad / 4))
    assert_agree([np.array(rows, dtype=object)], [x.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize("shape", [(3, 1), ()])
def test_one_class_has_no_pairs(shape):
    x, target = torch.randn(shape, requires_grad=True), torch.zeros(shape).long()
    samples = len(x) if shape else 1
    y = F.multilabel_margin_loss(x, target, reduction="sum")
    run = lambda: F.multilabel_margin_loss(x, target, reduction="sum")
    # Only the division by the number of classes and the sum remain; backward, a division and a multiply.
    assert counts(entry("aten.multilabel_margin_loss_forward", run)) == (samples + samples - 1, 0)
    assert counts(entry("aten.multilabel_margin_loss_backward", lambda: backward(y))) == (2 * samples, 0)


def test_a_single_score_has_no_other_class():
    x, target = torch.randn((), requires_grad=True), torch.tensor(0)
    y = F.multi_margin_loss(x, target, reduction="sum")
    # The subtraction ``m − x_t`` and the division; backward, the gradient's unit and the negation too.
    assert counts(entry("aten.multi_margin_loss", lambda: F.multi_margin_loss(x, target, reduction="sum"))) == (2, 0)
    assert counts(entry("aten.multi_margin_loss_backward", lambda: backward(y))) == (3, 0)
