"""Losses against their definition, on numbers that count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formulas.array_operations import (
    Tally,
    assert_agree,
    backward,
    counts,
    entry,
    maximum,
    minimum,
    numbers,
)
from torch.nn import functional as F  # noqa: N812 - its usual name

REDUCTIONS = ["none", "mean", "sum"]
SHAPE = (4, 3)


def reduced(losses, reduction):
    if reduction == "none":
        return losses
    return losses.sum() / losses.size if reduction == "mean" else losses.sum()


def both(condition, a, b):
    """Choose between two branches, both of which are computed."""
    return np.where(condition.astype(bool), a, b)


def squared(x, t):
    d = x - t
    return d * d


def smooth_l1(x, t, beta):
    z = abs(x - t)
    quadratic = 0.5 * z * z
    return both(z < beta, quadratic if beta == 1 else quadratic / beta, z - 0.5 * beta)


def huber(x, t, delta):
    z = abs(x - t)
    linear = z - 0.5 * delta
    return both(z < delta, 0.5 * z * z, linear if delta == 1 else delta * linear)


def cross_entropy(x, t):
    return (t - 1) * maximum(np.log(1 - x), -100) - t * maximum(np.log(x), -100)


def with_logits(x, t):
    return (1 - t) * x + np.log(1 + np.exp(-x))


def soft_margin(x, t):
    return np.log(1 + np.exp(-t * x))


#: Operator, torch's function, the definition, and its derivative times the gradient.
LOSSES = {
    "mse": ("mse_loss", F.mse_loss, squared, lambda x, t, g: 2 * (x - t) * g),
    "smooth l1": (
        "smooth_l1_loss", lambda *a, **k: F.smooth_l1_loss(*a, beta=0.7, **k), lambda x, t: smooth_l1(x, t, 0.7),
        lambda x, t, g: minimum(maximum((x - t) / 0.7, -1), 1) * g,
    ),
    "smooth l1 of beta 1": (
        "smooth_l1_loss", F.smooth_l1_loss, lambda x, t: smooth_l1(x, t, 1),
        lambda x, t, g: minimum(maximum(x - t, -1), 1) * g,
    ),
    "huber": (
        "huber_loss", lambda *a, **k: F.huber_loss(*a, delta=0.7, **k), lambda x, t: huber(x, t, 0.7),
        lambda x, t, g: minimum(maximum(x - t, -0.7), 0.7) * g,
    ),
    "binary cross-entropy": (
        "binary_cross_entropy", F.binary_cross_entropy, cross_entropy,
        lambda x, t, g: g * (x - t) / maximum((1 - x) * x, 1e-12),
    ),
    "soft margin": ("soft_margin_loss", F.soft_margin_loss, soft_margin, None),
}  # fmt: skip


def soft_margin_backward(x, t, g):
    y = -t
    z = np.exp(y * x)
    return y * z / (z + 1) * g


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_costs_its_definition_and_its_reduction(name, reduction):
    operator, function, definition, _ = LOSSES[name]
    x, target, t = torch.rand(SHAPE), torch.rand(SHAPE), Tally()
    run = lambda: function(x, target, reduction=reduction)
    assert_agree([reduced(definition(t.array(x), t.array(target)), reduction)], [run()])
    assert counts(entry(f"aten.{operator}", run)) == t.counts


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_backward_of_a_loss_costs_its_derivative(name, reduction):
    operator, function, _, derivative = LOSSES[name]
    x, target, t = torch.rand(SHAPE, requires_grad=True), torch.rand(SHAPE), Tally()
    y = function(x, target, reduction=reduction)
    dy = torch.randn_like(y)
    cost = entry(f"aten.{operator}_backward", lambda: y.backward(dy))
    g = t.array(dy)
    g = g / 12 if reduction == "mean" else g
    assert_agree([(derivative or soft_margin_backward)(t.array(x), t.array(target), g)], [x.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_weight_is_one_multiply_of_each_element(reduction):
    x, target, w, t = torch.rand(SHAPE, requires_grad=True), torch.rand(SHAPE), torch.rand(SHAPE), Tally()
    run = lambda: F.binary_cross_entropy(x, target, w, reduction=reduction)
    assert_agree([reduced(cross_entropy(t.array(x), t.array(target)) * t.array(w), reduction)], [run()])
    assert counts(entry("aten.binary_cross_entropy", run)) == t.counts
    plain, weighted = (
        entry("aten.binary_cross_entropy_backward", lambda w=w: backward(F.binary_cross_entropy(x, target, w)))
        for w in (None, w)
    )
    assert weighted.other_flops - plain.other_flops == 12


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("odds", [True, False])
def test_cross_entropy_of_logits_costs_its_definition(reduction, weighted, odds):
    x, target, t = torch.randn(SHAPE), torch.rand(SHAPE), Tally()
    w, p = torch.rand(SHAPE) if weighted else None, torch.rand(3) if odds else None
    run = lambda: F.binary_cross_entropy_with_logits(x, target, w, reduction=reduction, pos_weight=p)
    a, b = t.array(x), t.array(target)
    losses = (1 - b) * a + (1 + (t.array(p) - 1) * b) * np.log(1 + np.exp(-a)) if odds else with_logits(a, b)
    assert_agree([reduced(losses * t.array(w) if weighted else losses, reduction)], [run()])
    assert counts(entry("aten.binary_cross_entropy_with_logits", run)) == t.counts


@pytest.mark.parametrize("places", [(), (2, 2)])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_negative_log_likelihood_picks_and_negates(reduction, weighted, places):
    x, target, t = torch.randn(4, 3, *places), torch.randint(3, (4, *places)), Tally()
    w = torch.rand(3) if weighted else None
    run = lambda: F.nll_loss(x, target, w, reduction=reduction)
    picked = t.array(x.gather(1, target[:, None]).squeeze(1)).reshape(-1)
    weights = t.array(w[target]).reshape(-1) if weighted else None
    if reduction == "none":
        ours = -picked if weights is None else -picked * weights
    else:
        total = -(picked if weights is None else picked * weights).sum()
        divisor = len(picked) if weights is None else weights.sum()
        ours = total / divisor if reduction == "mean" else total
    assert_agree([ours], [run()])
    cost = entry("aten.nll_loss2d_forward" if places else "aten.nll_loss_forward", run)
    assert counts(cost) == t.counts
    assert cost.bytes_read == target.numel() * (8 + 4 + 4 * weighted)


@pytest.mark.parametrize("places", [(), (2, 2)])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_backward_of_negative_log_likelihood_places_gradients(reduction, weighted, places):
    x, target, t = torch.randn(4, 3, *places, requires_grad=True), torch.randint(3, (4, *places)), Tally()
    w = torch.rand(3) if weighted else None
    y = F.nll_loss(x, target, w, reduction=reduction)
    dy = torch.randn_like(y)
    cost = entry(f"aten.nll_loss{'2d' if places else ''}_backward", lambda: y.backward(dy))
    g = -t.array(dy)
    if reduction == "mean":
        g = g / (target.numel() if w is None else w[target].sum().item())
    given = g * t.array(w[target]) if weighted else g
    expected = x.grad.gather(1, target[:, None]).squeeze(1)
    assert_agree([np.broadcast_to(given, target.shape)], [expected])
    assert counts(cost) == t.counts
    assert cost.bytes_written == x.numel() * 4
    # The gradients, the targets, their weights, and for a mean the sum of those; not the log-probabilities.
    assert cost.bytes_read == dy.numel() * 4 + target.numel() * (8 + 4 * weighted) + 4 * (reduction == "mean")


def test_a_loss_of_broadcast_operands_costs_the_elements_of_the_result():
    x, target = torch.rand(4, 3), torch.rand(3)
    cost = entry("aten.mse_loss", lambda: torch.ops.aten.mse_loss(x, target, 2))
    # Twelve differences and squares, eleven adds.
    assert counts(cost) == (12 * 2 + 11, 0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_meta_and_cpu_cost_the_same(name, reduction):
    operator, function, *_ = LOSSES[name]

    def run(device):
        x, target = (torch.full(SHAPE, 0.5, device=device, requires_grad=grad) for grad in (True, False))
        return function(x, target, reduction=reduction)

    for suffix, ran in [("", run), ("_backward", lambda device: backward(run(device)))]:
        cpu, meta = (entry(f"aten.{operator}{suffix}", lambda d=d, ran=ran: ran(d)) for d in ("cpu", "meta"))
        assert numbers(cpu) == numbers(meta)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_meta_and_cpu_pick_the_same(reduction):
    def run(device):
        x, target = torch.ones(4, 3, device=device, requires_grad=True), torch.ones(4, dtype=torch.long, device=device)
        return F.nll_loss(x, target, reduction=reduction)

    for operator, ran in [("nll_loss_forward", run), ("nll_loss_backward", lambda device: backward(run(device)))]:
        cpu, meta = (entry(f"aten.{operator}", lambda d=d, ran=ran: ran(d)) for d in ("cpu", "meta"))
        assert numbers(cpu) == numbers(meta)
