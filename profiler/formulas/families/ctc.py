"""The CTC loss, which sums over all alignments of a target with the frames of an input.

A target of S labels has 2S + 1 states, with blanks between the labels. The recursion over T frames computes
``(T − 1)·(2S + 1)`` cells. Each is the log-sum-exp of three predecessors: 2 compares for their maximum, 3 subtracts, 3
exponentials, 2 adds and a logarithm; adding back the maximum and adding the log-probability make 9 FLOPs and 4
transcendentals. Predecessors that do not exist, or that repeat a label, are −∞ and are computed like others. Checks for
−∞ are not counted.

If the lengths are in a tensor, every sequence is assumed to have the full length: an upper bound.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006, equations 5 to 16, in log space as in
torch's aten/src/ATen/native/LossCTC.cpp.
"""

from __future__ import annotations

from math import prod

from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec

#: Lengths from the call, or a tensor whose values are unknown.
Lengths = tuple[int, ...] | TensorSpec


@formula("aten::_ctc_loss")
def ctc_loss(log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths) -> Cost:
    """Count the recursion of α, and per sequence the negated log-sum-exp of its last two cells."""
    batch, cells, _ = _extent(log_probs, targets, input_lengths, target_lengths)
    return Cost(other_flops=9 * cells + 6 * batch, transcendentals=4 * cells + 3 * batch)


@formula("aten::_ctc_loss_backward")
def ctc_loss_backward(
    log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths
) -> Cost:
    """Count the recursion of β, the sums of α·β by label, and the gradient of each frame's C classes.

    Each cell takes an add for α·β and a log-sum-exp of two, which adds it to the sum of its label (5 FLOPs and 3
    transcendentals). The two cells of the last frame only take the add. ``(exp(l) − exp(s + n − l))·grad`` takes 4
    FLOPs and 2 transcendentals.
    """
    batch, cells, frames = _extent(log_probs, targets, input_lengths, target_lengths)
    classes = frames * log_probs.shape[-1]
    return Cost(other_flops=15 * cells + 2 * batch + 4 * classes, transcendentals=7 * cells + 2 * classes)


@formula("aten::_cudnn_ctc_loss", "aten::miopen_ctc_loss")
def ctc_loss_and_gradient(
    log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths
) -> Cost:
    """Count the loss and the gradient, which these libraries compute together."""
    parts = [f(log_probs, targets, input_lengths, target_lengths) for f in (ctc_loss, ctc_loss_backward)]
    return Cost(
        other_flops=sum(part.other_flops for part in parts), transcendentals=sum(part.transcendentals for part in parts)
    )


def _extent(
    log_probs: TensorSpec, targets: TensorSpec, input_lengths: Lengths, target_lengths: Lengths
) -> tuple[int, int, int]:
    """Return the numbers of sequences, cells and frames; *log_probs* is ``(T, B, C)`` or ``(T, C)``."""
    batch = prod(log_probs.shape[1:-1])
    if isinstance(input_lengths, TensorSpec) or isinstance(target_lengths, TensorSpec):
        frames, labels = log_probs.shape[0], prod(targets.shape)
        return batch, (frames - 1) * (2 * labels + batch), batch * frames
    cells = sum((t - 1) * (2 * s + 1) for t, s in zip(input_lengths, target_lengths, strict=True))
    return batch, cells, sum(input_lengths)
