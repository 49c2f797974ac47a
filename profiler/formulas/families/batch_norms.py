"""Batch normalisation, in training and in evaluation mode, on one device or synchronised over several.

Legend: N elements in C channels. The counts follow the definition ``(x − μ)·rsqrt(σ² + ε)·w + b``: evaluation uses the
running statistics; training computes μ and σ² of the batch, and updates the running statistics. In evaluation no
statistics are written, although the operator may return empty or unused tensors. cuDNN's workspace is not counted.

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

#: FLOPs per channel of ``(1 − m)·running + m·batch`` for mean and variance (3 each), and the unbiased variance (1).
_RUNNING_UPDATE = 7


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
    """Count a batch norm, which uses the batch's statistics in training and the running statistics otherwise."""
    if training:
        return batch_norm_training(input, weight, bias, running_mean, running_var)
    return batch_norm_evaluation(input, weight, bias)


@formula("aten::_native_batch_norm_legit.no_stats", "aten::_native_batch_norm_legit.no_stats_out")
def batch_norm_without_running(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count a batch norm without running statistics, as instance norm is dispatched."""
    return batch_norm_training(input, weight, bias, None, None)


@formula("aten::_batch_norm_with_update", "aten::_batch_norm_with_update_functional")
def batch_norm_training(
    input: TensorSpec,
    weight: TensorSpec | None,
    bias: TensorSpec | None,
    running_mean: TensorSpec | None,
    running_var: TensorSpec | None,
) -> Cost:
    """Count mean, variance and normalisation, and per channel a reciprocal root and the running statistics."""
    n, c = prod(input.shape), _channels(input)
    return Cost(
        other_flops=standardise(n, c) + n * present(weight, bias) + _RUNNING_UPDATE * c * present(running_mean),
        transcendentals=c,
        bytes_written=_result_bytes(input) + statistic_bytes(input, 2 * c) + size_of(running_mean, running_var),
    )


@formula("aten::_native_batch_norm_legit_no_training", "aten::_batch_norm_no_update")
def batch_norm_evaluation(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count per element a subtract, a multiply, weight and bias, and per channel the add of ε and a reciprocal root."""
    n, c = prod(input.shape), _channels(input)
    return Cost(other_flops=n * (2 + present(weight, bias)) + c, transcendentals=c, bytes_written=_result_bytes(input))


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
    """Count the gradients selected by *output_mask*; in training they pass through the batch's statistics.

    ``x̂ = (x − μ)·ρ`` takes 2N FLOPs, ``dw = Σ dy·x̂`` 2N − C, and ``db = Σ dy`` N − C. The gradient of the input:

    - training: ``dx = (dy − db/n − x̂·dw/n)·(w·ρ)`` takes 4N + 2C, C for the weight, and both sums
    - evaluation: ``dx = dy·(w·ρ)`` takes N, and C for the weight. If dx or dw is computed, so is ``ρ = rsqrt(σ² + ε)``
      from the running variance: C adds and C roots
    """
    n, c = prod(input.shape), _channels(input)
    of_input, of_weight, of_bias = output_mask
    needs_sums = of_input and train
    sums = (of_weight or needs_sums) * (3 * n + reduction_ops(n, c)) + (of_bias or needs_sums) * reduction_ops(n, c)
    input_flops = 4 * n + 2 * c if train else n
    roots = c * (of_input or of_weight) * (not train)
    statistics = statistic_bytes(input, 2 * c) if train else size_of(running_mean, running_var)
    return Cost(
        other_flops=sums + of_input * (input_flops + c * present(weight)) + roots,
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
    """Count the gradients selected by *output_mask*; *update* is True if the forward pass was in training mode."""
    return batch_norm_backward(grad_out, input, weight, running_mean, running_var, update, output_mask)


@formula("aten::cudnn_batch_norm_backward", "aten::miopen_batch_norm_backward")
def batch_norm_backward_in_training(grad_output: TensorSpec, input: TensorSpec, weight: TensorSpec) -> Cost:
    """Count all three gradients in training, the only mode for which these libraries have a backward pass."""
    return batch_norm_backward(grad_output, input, weight, None, None, train=True, output_mask=(True, True, True))


@formula("aten::batch_norm_stats")
def batch_norm_stats(input: Shape) -> Cost:
    """Count mean, deviations, squares and variance of one device's batch (4N), and per channel ε and a root."""
    return Cost(other_flops=4 * prod(input) + input[1], transcendentals=input[1])


@formula("aten::batch_norm_update_stats")
def batch_norm_update_stats(input: TensorSpec, running_mean: TensorSpec | None, running_var: TensorSpec | None) -> Cost:
    """Count mean and variance (4N) and the update of the running statistics; nothing is normalised."""
    n, c = prod(input.shape), _channels(input)
    return Cost(
        other_flops=4 * n + _RUNNING_UPDATE * c * present(running_mean),
        bytes_written=statistic_bytes(input, 2 * c) + size_of(running_mean, running_var),
    )


@formula("aten::batch_norm_gather_stats", "aten::batch_norm_gather_stats_with_counts")
def batch_norm_gather_stats(mean: TensorSpec, running_mean: TensorSpec | None, running_var: TensorSpec | None) -> Cost:
    """Count merging the statistics of W devices; *mean* is ``(W, C)``.

    Per device and channel, the sum of squares is recovered from the reciprocal deviation (4) and merged (14). Per
    channel, the variance, ε, a root, and the running statistics.

    Source: batch_norm_reduce_statistics_kernel in torch's aten/src/ATen/native/cuda/Normalization.cuh.
    """
    devices, c = mean.shape
    return Cost(
        other_flops=18 * devices * c + 2 * c + _RUNNING_UPDATE * c * present(running_mean),
        transcendentals=c,
        bytes_written=2 * c * int(mean.itemsize) + size_of(running_mean, running_var),
    )


@formula("aten::batch_norm_elemt")
def batch_norm_elemt(input: Shape, weight: Shape | None, bias: Shape | None) -> Cost:
    """Count ``(x − μ)·ρ·w + b`` with the merged statistics."""
    return Cost(other_flops=prod(input) * (2 + (weight is not None) + (bias is not None)))


@formula("aten::batch_norm_backward_reduce")
def batch_norm_backward_reduce(input: Shape, weight_g: bool) -> Cost:
    """Count ``Σ dy`` (N − C), ``Σ dy·(x − μ)`` (3N − C), and dw from the second sum (C)."""
    n, c = prod(input), input[1]
    return Cost(other_flops=2 * n + 2 * reduction_ops(n, c) + c * weight_g)


@formula("aten::batch_norm_backward_elemt")
def batch_norm_backward_elemt(input: Shape, weight: Shape | None, count: Shape) -> Cost:
    """Count ``dx = (dy − m − (x − μ)·f)·(w·ρ)`` with ``m = Σdy/n`` and ``f = ρ²·Σdy·(x − μ)/n``.

    This takes 5 FLOPs per element, 4 per channel, 1 more for the weight, and one per device in *count* for ``1/n``,
    with n the sum of the counts.
    """
    n, c = prod(input), input[1]
    return Cost(other_flops=5 * n + c * (4 + (weight is not None)) + prod(count))


def _channels(input: TensorSpec) -> int:
    return input.shape[1]


def _result_bytes(input: TensorSpec) -> int:
    return prod(input.shape) * int(input.itemsize)
