"""Connectionist temporal classification: the sums over all alignments of a target with the frames of an input.

A target of S labels becomes 2S + 1 states, blanks between them. The recursion over T frames fills (T − 1)·(2S + 1)
cells, each with the log-sum-exp of three predecessors: 2 compares for their maximum, 3 differences, 3 exponentials, 2
adds and a logarithm, the maximum added back, and the log-probability added: 9 FLOPs and 4 transcendentals. Predecessors
that do not exist, or that repeat a label, are −∞ and computed with. Tests for −∞ are left out.

Where the lengths are in a tensor, every sequence is taken as long as its tensor: an upper bound.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006, equations 5 to 16, in log space as in
torch's aten/src/ATen/native/LossCTC.cpp.
"""

from __future__ import annotations

from math import prod

from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

#: In the call, or in a tensor whose values are not known.
Lengths = tuple[int, ...] | TensorSpec


@formula("aten::_ctc_loss")
def ctc_loss(log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths) -> Cost:
    """Count the recursion of α, and for each sequence the log-sum-exp of its last two cells, negated."""
    batch, cells, _ = _extent(log_probs, targets, input_lengths, target_lengths)
    return Cost(other_flops=9 * cells + 6 * batch, transcendentals=4 * cells + 3 * batch)


@formula("aten::_ctc_loss_backward")
def ctc_loss_backward(
    log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths
) -> Cost:
    """Count the recursion of β, the sums of α·β by label, and the gradient of each frame's C classes.

    A cell takes an add for α·β and a log-sum-exp of two to join it to its label's (5 FLOPs and 3 transcendentals); the
    two cells of the last frame only add. ``(exp(l) − exp(s + n − l))·grad`` is 4 FLOPs and 2 transcendentals.
    """
    batch, cells, frames = _extent(log_probs, targets, input_lengths, target_lengths)
    classes = frames * log_probs.shape[-1]
    return Cost(other_flops=15 * cells + 2 * batch + 4 * classes, transcendentals=7 * cells + 2 * classes)


@formula("aten::_cudnn_ctc_loss", "aten::miopen_ctc_loss")
def ctc_loss_and_gradient(
    log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths
) -> Cost:
    """Count both: these libraries compute the gradient with the loss."""
    parts = [f(log_probs, targets, input_lengths, target_lengths) for f in (ctc_loss, ctc_loss_backward)]
    return Cost(
        other_flops=sum(part.other_flops for part in parts), transcendentals=sum(part.transcendentals for part in parts)
    )


def _extent(
    log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths
) -> tuple[int, int, int]:
    """Give the sequences, their cells in all, and their frames in all; *log_probs* is (T, B, C) or (T, C)."""
    batch = prod(log_probs.shape[1:-1])
    if isinstance(input_lengths, TensorSpec) or isinstance(target_lengths, TensorSpec):
        frames, labels = log_probs.shape[0], prod(targets.shape)
        return batch, (frames - 1) * (2 * labels + batch), batch * frames
    cells = sum((t - 1) * (2 * s + 1) for t, s in zip(input_lengths, target_lengths, strict=True))
    return batch, cells, sum(input_lengths)
