"""Layer, group, RMS and weight normalisation. Batch normalisation is in ``batch_norms.py``.

Legend: N elements in R groups, each of which is normalised separately.

The counts follow the definitions: the mean takes N − R adds and R divides, the deviations N subtractions, their squares
N multiplies, and so on. A weight adds one multiply per element, a bias one add.

Statistics saved for the backward pass are written, and later read, in float32 or wider, as GPU kernels do. (The CPU
kernels save the statistics of a half-precision input in half precision.)
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.families.reductions import norm_cost
from profiler.formulas.registry import formula
from profiler.values.records import ITEMSIZE, Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape, TensorSpec

#: Which gradients to compute: of the input, the weight, the bias.
Mask = tuple[bool, ...]


@formula("aten::native_layer_norm")
def layer_norm(input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count ``(x − μ)·rsqrt(σ² + ε)·w + b``, with μ and σ² over *normalized_shape*.

    Source: Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450, equations 3 and 4.
    """
    return _normalise(input, groups(input, normalized_shape), weight, bias)


@formula("aten::native_group_norm")
def group_norm(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None, N: int, group: int) -> Cost:  # noqa: N803
    """Count ``(x − μ)·rsqrt(σ² + ε)·w + b``, with μ and σ² over each of *group* channel groups of each of N samples.

    Source: Wu and He, "Group Normalization", arXiv:1803.08494, equations 1, 2 and 6.
    """
    return _normalise(input, N * group, weight, bias)


@formula("aten::_fused_rms_norm")
def rms_norm(input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None) -> Cost:
    """Count ``x·rsqrt(mean(x²) + ε)·w``: squares N, mean N, ε R, scaling N, weight N; R reciprocal roots.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467, equation 4.
    """
    n, r = numel(input), groups(input, normalized_shape)
    return Cost(
        other_flops=3 * n + r + n * present(weight),
        transcendentals=r,
        bytes_written=input.bytes + statistic_bytes(input, r),
    )


@formula("aten::native_layer_norm_backward")
def layer_norm_backward(
    grad_out: TensorSpec, input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, output_mask: Mask
) -> Cost:
    """Count the gradients in *output_mask*; the gradient of each parameter is a sum over the R groups."""
    r, k = groups(input, normalized_shape), prod(normalized_shape)
    return _normalise_backward(grad_out, input, weight, output_mask, r, k)


@formula("aten::native_group_norm_backward")
def group_norm_backward(
    grad_out: TensorSpec,
    input: TensorSpec,
    weight: TensorSpec | None,
    N: int,  # noqa: N803
    C: int,  # noqa: N803
    group: int,
    output_mask: Mask,
) -> Cost:
    """Count the gradients in *output_mask*; the gradient of each parameter is a sum over samples and positions."""
    return _normalise_backward(grad_out, input, weight, output_mask, N * group, C)


@formula("aten::_fused_rms_norm_backward")
def rms_norm_backward(
    grad_out: TensorSpec, input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, output_mask: Mask
) -> Cost:
    """Count ``dw = Σ dy·x̂`` and ``dx = r·(g − x̂·mean(g·x̂))``, with ``x̂ = x·r`` and ``g = dy·w``."""
    n, r, k = numel(input), groups(input, normalized_shape), prod(normalized_shape)
    of_input, of_weight = output_mask
    return Cost(
        other_flops=n * any(output_mask) + of_weight * (n + reduction_ops(n, k)) + of_input * n * (5 + present(weight)),
        bytes_read=grad_out.bytes + input.bytes + statistic_bytes(input, r) + size_of(weight),
    )


@formula("aten::_weight_norm_interface")
def weight_norm(v: TensorSpec, g: TensorSpec) -> Cost:
    """Count ``w = v·(g/‖v‖)`` for N weights and M norms: norms 2N − M and M roots, divides M, multiplies N.

    Source: Salimans and Kingma, "Weight Normalization", arXiv:1602.07868, equation 2.
    """
    n, m = prod(v.shape), prod(g.shape)
    norms = norm_cost(n, m, 2)
    return Cost(
        other_flops=norms.other_flops + m + n,
        transcendentals=norms.transcendentals,
        bytes_written=v.bytes + m * max(_FLOAT, int(g.itemsize)),
    )


@formula("aten::_weight_norm_interface_backward")
def weight_norm_backward(grad_w: TensorSpec, saved_v: TensorSpec, saved_g: TensorSpec) -> Cost:
    """Count ``dg = (dw·v)/‖v‖`` and ``dv = (g/‖v‖)·dw − (g·dg/‖v‖²)·v``, with the norms saved by the forward pass.

    The dot products take 2N − M, dg takes M, the two factors 3M, and dv two multiplies and a subtraction: 3N.

    Source: Salimans and Kingma, "Weight Normalization", arXiv:1602.07868, equation 3.
    """
    n, m = prod(saved_v.shape), prod(saved_g.shape)
    saved_norms = m * max(_FLOAT, int(saved_g.itemsize))
    return Cost(
        other_flops=n + reduction_ops(n, m) + 4 * m + 3 * n,
        bytes_read=grad_w.bytes + saved_v.bytes + saved_g.bytes + saved_norms,
    )


def groups(input: TensorSpec, normalized_shape: Shape) -> int:
    """Return the number of groups: the product of the leading dimensions; of a nested tensor, the rows of its parts."""
    if input.layout == "nested":
        return numel(input) // max(prod(normalized_shape), 1)
    return prod(input.shape[: len(input.shape) - len(normalized_shape)])


def standardise(n: int, r: int) -> int:
    """Return the FLOPs of the mean (N), deviations (N), squares (N), variance (N), ε (R) and scaling (N)."""
    return 5 * n + r


def present(*parameters: TensorSpec | None) -> int:
    """Return how many of *parameters* are not None; each costs one FLOP per element."""
    return sum(parameter is not None for parameter in parameters)


def size_of(*tensors: TensorSpec | None) -> int:
    """Return the total bytes of *tensors*, skipping None."""
    return sum(tensor.bytes for tensor in tensors if tensor is not None)


def statistic_bytes(input: TensorSpec, count: int) -> int:
    """Return the bytes of *count* statistics, which are stored in float32 or wider."""
    return count * max(_FLOAT, int(input.itemsize))


_FLOAT = int(ITEMSIZE["float32"])


def _normalise(input: TensorSpec, r: int, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count a normalisation in R groups, which writes its result, R means and R reciprocal standard deviations."""
    n = numel(input)
    return Cost(
        other_flops=standardise(n, r) + n * present(weight, bias),
        transcendentals=r,
        bytes_written=n * int(input.itemsize) + statistic_bytes(input, 2 * r),
    )


def _normalise_backward(
    grad_out: TensorSpec, input: TensorSpec, weight: TensorSpec | None, output_mask: Mask, r: int, k: int
) -> Cost:
    """Count the gradients of R groups and K parameters, with μ and ρ (the reciprocal deviation) saved by the forward.

    - ``x̂ = (x − μ)·ρ``, needed for dx and dw: 2N
    - ``dx = ρ·(g − mean(g) − x̂·mean(g·x̂))`` with ``g = dy·w``: 7N, and N for the weight
    - ``dw = Σ dy·x̂``: 2N − K
    - ``db = Σ dy``: N − K
    """
    n = numel(input)
    of_input, of_weight, of_bias = output_mask
    standardised = 2 * n * (of_input or of_weight)
    of_parameters = of_weight * (n + reduction_ops(n, k)) + of_bias * reduction_ops(n, k)
    return Cost(
        other_flops=standardised + of_parameters + of_input * n * (7 + present(weight)),
        bytes_read=grad_out.bytes + input.bytes + statistic_bytes(input, 2 * r) + size_of(weight),
    )
