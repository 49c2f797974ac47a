"""Batch normalisation, in training and in evaluation, on one device and synchronised over several.

With N elements in C channels, from the definition: in evaluation ``(x − μ)·rsqrt(σ² + ε)·w + b`` with the running
statistics; in training μ and σ² are those of the batch, and the running ones follow them. Bytes: in evaluation no
statistics are written, whatever empty or unused tensors the operator returns; workspace for cuDNN is left out.

Source: Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167, algorithm 1 and the derivatives after it.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.norms import present, size_of, standardise, statistic_bytes
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.formulas.families.norms import Mask
    from profiler.values.records import Shape, TensorSpec

#: For a channel, ``(1 − m)·running + m·batch`` of mean and variance (3 each), and the variance made unbiased (1).
_FOLLOW = 7


@formula(
    "aten::native_batch_norm",
    "aten::_native_batch_norm_legit",
    "aten::_native_batch_norm_legit_functional",
    "aten::cudnn_batch_norm",
    "aten::miopen_batch_norm",
)
def batch_norm(
    input: TensorSpec,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    running_mean: TensorSpec | None,
    running_var: TensorSpec | None,
    training: bool,
) -> Cost:
    """Normalise with the statistics of the batch in training, with the running ones otherwise."""
    if training:
        return batch_norm_training(input, weight, bias, running_mean, running_var)
    return batch_norm_evaluation(input, weight, bias)


@formula("aten::_native_batch_norm_legit.no_stats")
def batch_norm_without_running(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Normalise with the statistics of the batch, which nothing follows; instance normalisation arrives so."""
    return batch_norm_training(input, weight, bias, None, None)


@formula("aten::_batch_norm_with_update", "aten::_batch_norm_with_update_functional")
def batch_norm_training(
    input: TensorSpec,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    running_mean: TensorSpec | None,
    running_var: TensorSpec | None,
) -> Cost:
    """Count mean, variance and normalisation, and for each channel a reciprocal root and the running statistics."""
    n, c = prod(input.shape), _channels(input)
    return Cost(
        other_flops=standardise(n, c) + n * present(weight, bias) + _FOLLOW * c * present(running_mean),
        transcendentals=c,
        bytes_written=_result(input) + statistic_bytes(input, 2 * c) + size_of(running_mean, running_var),
    )


@formula("aten::_native_batch_norm_legit_no_training", "aten::_batch_norm_no_update")
def batch_norm_evaluation(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count a subtraction, a multiply, weight and bias of each element; for each channel ε and a reciprocal root."""
    n, c = prod(input.shape), _channels(input)
    return Cost(other_flops=n * (2 + present(weight, bias)) + c, transcendentals=c, bytes_written=_result(input))


@formula("aten::native_batch_norm_backward")
def batch_norm_backward(
    grad_out: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec | None,
    running_mean: TensorSpec | None,
    running_var: TensorSpec | None,
    train: bool,
    output_mask: Mask,
) -> Cost:
    """Count the gradients that *output_mask* asks for, through the statistics of the batch only in training.

    With ``x̂ = (x − μ)·ρ`` (2N), ``dw = Σ dy·x̂`` (2N − C) and ``db = Σ dy`` (N − C):

    - training: ``dx = (dy − db/n − x̂·dw/n)·(w·ρ)``, which needs both sums: 4N + 2C, and C for the weight
    - evaluation: ``dx = dy·(w·ρ)``: N, and C for the weight; ``ρ = rsqrt(σ² + ε)``, for it or dw, is made anew: C adds
      and C roots
    """
    n, c = prod(input.shape), _channels(input)
    of_input, of_weight, of_bias = output_mask
    through = of_input and train
    sums = (of_weight or through) * (3 * n + reduction_ops(n, c)) + (of_bias or through) * reduction_ops(n, c)
    of_each = 4 * n + 2 * c if train else n
    roots = c * (of_input or of_weight) * (not train)
    statistics = statistic_bytes(input, 2 * c) if train else size_of(running_mean, running_var)
    return Cost(
        other_flops=sums + of_input * (of_each + c * present(weight)) + roots,
        transcendentals=roots,
        bytes_read=grad_out.bytes + input.bytes + size_of(weight) + statistics,
    )


@formula("aten::batch_norm_backward")
def batch_norm_backward_with_reserve(
    grad_out: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec | None,
    running_mean: TensorSpec | None,
    running_var: TensorSpec | None,
    update: bool,
    output_mask: Mask,
) -> Cost:
    """Count the same; *update* says that the forward was in training."""
    return batch_norm_backward(grad_out, input, weight, running_mean, running_var, update, output_mask)


@formula("aten::cudnn_batch_norm_backward", "aten::miopen_batch_norm_backward")
def batch_norm_backward_in_training(grad_output: TensorSpec, input: TensorSpec, weight: TensorSpec) -> Cost:
    """Count all three gradients in training, the only mode that these libraries differentiate."""
    return batch_norm_backward(grad_output, input, weight, None, None, train=True, output_mask=(True, True, True))


@formula("aten::batch_norm_stats")
def batch_norm_stats(input: Shape) -> Cost:
    """Count the mean, deviations, squares and variance of a device's batch (4N), ε and a root for each channel."""
    return Cost(other_flops=4 * prod(input) + input[1], transcendentals=input[1])


@formula("aten::batch_norm_update_stats")
def batch_norm_update_stats(input: TensorSpec, running_mean: TensorSpec | None, running_var: TensorSpec | None) -> Cost:
    """Count mean and variance (4N), which the running ones follow; nothing is normalised."""
    n, c = prod(input.shape), _channels(input)
    return Cost(
        other_flops=4 * n + _FOLLOW * c * present(running_mean),
        bytes_written=statistic_bytes(input, 2 * c) + size_of(running_mean, running_var),
    )


@formula("aten::batch_norm_gather_stats", "aten::batch_norm_gather_stats_with_counts")
def batch_norm_gather_stats(mean: TensorSpec, running_mean: TensorSpec | None, running_var: TensorSpec | None) -> Cost:
    """Join the statistics of W devices: *mean* is (W, C).

    For each device and channel: the sum of squares from its reciprocal deviation (4), and its merging (14); for each
    channel the variance, ε and a root, and the running statistics.

    Source: batch_norm_reduce_statistics_kernel in torch's aten/src/ATen/native/cuda/Normalization.cuh.
    """
    devices, c = mean.shape
    return Cost(
        other_flops=18 * devices * c + 2 * c + _FOLLOW * c * present(running_mean),
        transcendentals=c,
        bytes_written=2 * c * int(mean.itemsize) + size_of(running_mean, running_var),
    )


@formula("aten::batch_norm_elemt")
def batch_norm_elemt(input: Shape, weight: Shape | None, bias: Shape | None) -> Cost:
    """Count ``(x − μ)·ρ·w + b`` with the joined statistics."""
    return Cost(other_flops=prod(input) * (2 + (weight is not None) + (bias is not None)))


@formula("aten::batch_norm_backward_reduce")
def batch_norm_backward_reduce(input: Shape, weight_g: bool) -> Cost:
    """Count ``Σ dy`` (N − C), ``Σ dy·(x − μ)`` (3N − C), and dw from the latter (C)."""
    n, c = prod(input), input[1]
    return Cost(other_flops=2 * n + 2 * reduction_ops(n, c) + c * weight_g)


@formula("aten::batch_norm_backward_elemt")
def batch_norm_backward_elemt(input: Shape, weight: Shape | None, count: Shape) -> Cost:
    """Count ``dx = (dy − m − (x − μ)·f)·(w·ρ)`` with ``m = Σdy/n`` and ``f = ρ²·Σdy·(x − μ)/n``.

    5N; for each channel 4, and 1 for the weight; and ``1/n`` with n the sum of the counts.
    """
    n, c = prod(input), input[1]
    return Cost(other_flops=5 * n + c * (4 + (weight is not None)) + prod(count))


def _channels(input: TensorSpec) -> int:
    return input.shape[1]


def _result(input: TensorSpec) -> int:
    return prod(input.shape) * int(input.itemsize)
