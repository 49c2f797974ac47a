"""Connectionist temporal classification: the recursion, run on numbers that count."""

from __future__ import annotations

import math
from functools import reduce

import pytest
import torch
from formulas.array_operations import Scalar, Tally, assert_agree, counts, entry, entry_of, spec
from torch.nn import functional as F  # noqa: N812 - its usual name

FRAMES, LABELS, CLASSES = 6, 3, 4
BATCH, INPUTS, TARGETS = 3, (6, 5, 4), (3, 2, 1)


def example():
    log_probs = torch.randn(FRAMES, BATCH, CLASSES).log_softmax(2).requires_grad_()
    return log_probs, torch.tensor([[1, 2, 2], [3, 1, 0], [2, 0, 0]])


def join(terms):
    """Return ``log Σ exp``, stabilised by the largest term; terms of −∞ are computed like others."""
    largest = reduce(lambda a, b: a.maximum(b), terms)
    if largest.value == -math.inf:
        largest = Scalar(0.0, largest.tally)
    exps = [(term - largest).exp() for term in terms]
    return sum(exps[1:], exps[0]).log() + largest


def states(target):
    return [0, *(s for label in target for s in (label, 0))]


def fill(probs, labels, tally):
    """Fill the cells of one direction: α forward, β with everything reversed."""
    nothing = Scalar(-math.inf, tally)
    table = [[probs[0][labels[0]], probs[0][labels[1]], *[nothing] * (len(labels) - 2)]]
    for frame in probs[1:]:
        row = []
        for s, label in enumerate(labels):
            skip = s > 1 and labels[s - 2] != label
            before = [table[-1][s], table[-1][s - 1] if s else nothing, table[-1][s - 2] if skip else nothing]
            row.append(join(before) + frame[label])
        table.append(row)
    return table


def test_the_loss_costs_the_recursion():
    (log_probs, targets), t = example(), Tally()
    probs, losses = t.array(log_probs), []
    for b, (frames, length) in enumerate(zip(INPUTS, TARGETS, strict=True)):
        alpha = fill(probs[:frames, b], states(targets[b, :length].tolist()), t)
        losses.append(-join(alpha[-1][-2:]))
    run = lambda: F.ctc_loss(log_probs, targets, INPUTS, TARGETS, reduction="none")
    assert_agree([losses], [run()])
    assert counts(entry("aten._ctc_loss", run)) == t.counts


def test_the_gradient_costs_the_recursion_backwards_and_the_classes():
    (log_probs, targets), t = example(), Tally()
    losses = F.ctc_loss(log_probs, targets, INPUTS, TARGETS, reduction="none")
    dy = torch.randn(BATCH)
    cost = entry("aten._ctc_loss_backward", lambda: losses.backward(dy))
    probs, upstream, nll = t.array(log_probs), t.array(dy), t.array(losses)
    gradient = t.zeros(FRAMES, BATCH, CLASSES)
    for b, (frames, length) in enumerate(zip(INPUTS, TARGETS, strict=True)):
        labels = states(targets[b, :length].tolist())
        forward = Tally()  # α is kept from the forward
        alpha = fill(forward.array(log_probs)[:frames, b], labels, forward)
        beta = fill(probs[:frames, b][::-1], labels[::-1], t)[::-1]
        for frame in range(frames):
            joined = [Scalar(-math.inf, t)] * CLASSES
            for s, label in enumerate(labels):
                if frame == frames - 1 and s < len(labels) - 2:
                    continue
                both = Scalar(alpha[frame][s].value, t) + beta[frame][len(labels) - 1 - s]
                joined[label] = both if frame == frames - 1 else join([joined[label], both])
            for c in range(CLASSES):
                p = probs[frame, b, c]
                gradient[frame, b, c] = (p.exp() - (joined[c] + nll[b] - p).exp()) * upstream[b]
    assert_agree([gradient], [log_probs.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize("name", ["_ctc_loss", "_ctc_loss_backward"])
def test_lengths_in_tensors_are_taken_as_the_longest(name):
    tensors = {"log_probs": spec(FRAMES, BATCH, CLASSES), "targets": spec(BATCH, LABELS, dtype="int64")}
    unknown = {"input_lengths": spec(BATCH, dtype="int64"), "target_lengths": spec(BATCH, dtype="int64")}
    arguments = {"input_lengths": (FRAMES,) * BATCH, "target_lengths": (LABELS,) * BATCH}
    bound, exact = (
        entry_of(f"aten.{name}.{overload}", (spec(BATCH),), **tensors, **lengths)
        for overload, lengths in [("Tensor", unknown), ("default", arguments)]
    )
    assert counts(bound) == counts(exact)


def test_a_library_that_computes_the_gradient_too_costs_both():
    arguments = {"log_probs": spec(FRAMES, BATCH, CLASSES), "targets": spec(6, dtype="int32"), "input_lengths": INPUTS,
                 "target_lengths": TARGETS}  # fmt: skip
    loss, gradient, both = (
        entry_of(f"aten.{name}.default", (spec(BATCH),), **arguments)
        for name in ("_ctc_loss", "_ctc_loss_backward", "_cudnn_ctc_loss")
    )
    assert counts(both) == (loss.other_flops + gradient.other_flops, loss.transcendentals + gradient.transcendentals)
