"""Layer, group and RMS normalisation, and weight normalisation.

Counted from the definition, with N elements in R groups that are normalised each on its own: the mean takes N − R adds
and R divides, the deviations N subtractions, their squares N multiplies, and so on, element by element. A weight is
one more multiply, a bias one more add, for each element.

Statistics kept for the backward pass are written, and later read, in float32 at least, as accelerators keep them; the
CPU keeps those of a half-precision input in half precision. Batch normalisation has a file of its own.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.reductions import norm_cost
from profiler.formulas.registry import formula
from profiler.values.records import ITEMSIZE, Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape, TensorSpec

#: Which gradients are asked for: of the input, of the weight, of the bias.
Mask = tuple[bool, ...]


@formula("aten::native_layer_norm")
def layer_norm(input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Count ``(x − μ)·rsqrt(σ² + ε)·w + b``, with μ and σ² over *normalized_shape*.

    Source: Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450, equations 3 and 4.
    """
    return _normalise(input, groups(input.shape, normalized_shape), weight, bias)


@formula("aten::native_group_norm")
def group_norm(input: TensorSpec, weight: TensorSpec | None, bias: TensorSpec | None, N: int, group: int) -> Cost:  # noqa: N803
    """Count the same, with μ and σ² over each of *group* groups of channels of each of N samples.

    Source: Wu and He, "Group Normalization", arXiv:1803.08494, equations 1, 2 and 6.
    """
    return _normalise(input, N * group, weight, bias)


@formula("aten::_fused_rms_norm")
def rms_norm(input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None) -> Cost:
    """Count ``x·rsqrt(mean(x²) + ε)·w``: N squares, N for their mean, R for ε, N to scale, N for the weight.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", arXiv:1910.07467, equation 4.
    """
    n, r = prod(input.shape), groups(input.shape, normalized_shape)
    return Cost(
        other_flops=3 * n + r + n * present(weight),
        transcendentals=r,
        bytes_written=input.bytes + statistic_bytes(input, r),
    )


@formula("aten::native_layer_norm_backward")
def layer_norm_backward(
    grad_out: TensorSpec, input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, output_mask: Mask
) -> Cost:
    """Count the gradients that *output_mask* asks for; each parameter's is a sum over the R groups."""
    r, k = groups(input.shape, normalized_shape), prod(normalized_shape)
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
    """Count the gradients that *output_mask* asks for; each parameter's is a sum over samples and positions."""
    return _normalise_backward(grad_out, input, weight, output_mask, N * group, C)


@formula("aten::_fused_rms_norm_backward")
def rms_norm_backward(
    grad_out: TensorSpec, input: TensorSpec, normalized_shape: Shape, weight: TensorSpec | None, output_mask: Mask
) -> Cost:
    """Count ``dw = Σ dy·x̂`` and ``dx = r·(g − x̂·mean(g·x̂))``, with ``x̂ = x·r`` and ``g = dy·w``."""
    n, r, k = prod(input.shape), groups(input.shape, normalized_shape), prod(normalized_shape)
    of_input, of_weight = output_mask
    return Cost(
        other_flops=n * any(output_mask) + of_weight * (n + reduction_ops(n, k)) + of_input * n * (5 + present(weight)),
        bytes_read=grad_out.bytes + input.bytes + statistic_bytes(input, r) + size_of(weight),
    )


@formula("aten::_weight_norm_interface")
def weight_norm(v: TensorSpec, g: TensorSpec) -> Cost:
    """Count ``w = v·(g/‖v‖)`` for N weights with M norms: 2N − M and M roots for the norms, M divides, N multiplies.

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
    """Count ``dg = (dw·v)/‖v‖`` and ``dv = (g/‖v‖)·dw − (g·dg/‖v‖²)·v``, the norms being kept.

    The dot products take 2N − M, dg M, the two factors 3M, and dv two products and a difference: 3N.

    Source: Salimans and Kingma, "Weight Normalization", arXiv:1602.07868, equation 3.
    """
    n, m = prod(saved_v.shape), prod(saved_g.shape)
    kept = m * max(_FLOAT, int(saved_g.itemsize))
    return Cost(
        other_flops=n + reduction_ops(n, m) + 4 * m + 3 * n,
        bytes_read=grad_w.bytes + saved_v.bytes + saved_g.bytes + kept,
    )


def groups(shape: Shape, normalized_shape: Shape) -> int:
    """Count the groups: the product of the leading dimensions, which are not normalised over."""
    return prod(shape[: len(shape) - len(normalized_shape)])


def standardise(n: int, r: int) -> int:
    """Count the FLOPs of the mean (N), deviations (N), squares (N), variance (N), ε (R) and scaling (N) in R groups."""
    return 5 * n + r


def present(*parameters: TensorSpec | None) -> int:
    """Count the parameters that are there: each takes one operation an element."""
    return sum(parameter is not None for parameter in parameters)


def size_of(*tensors: TensorSpec | None) -> int:
    """Sum the bytes of the tensors that are there."""
    return sum(tensor.bytes for tensor in tensors if tensor is not None)


def statistic_bytes(input: TensorSpec, count: int) -> int:
    """Size *count* statistics, which are kept in float32 at least."""
    return count * max(_FLOAT, int(input.itemsize))


_FLOAT = int(ITEMSIZE["float32"])


def _normalise(input: TensorSpec, r: int, weight: TensorSpec | None, bias: TensorSpec | None) -> Cost:
    """Standardise in R groups, with R reciprocal roots; write the result and the R means and reciprocal deviations."""
    n = prod(input.shape)
    return Cost(
        other_flops=standardise(n, r) + n * present(weight, bias),
        transcendentals=r,
        bytes_written=n * int(input.itemsize) + statistic_bytes(input, 2 * r),
    )


def _normalise_backward(
    grad_out: TensorSpec, input: TensorSpec, weight: TensorSpec | None, output_mask: Mask, r: int, k: int
) -> Cost:
    """Count up to three gradients, with μ and the reciprocal deviation ρ of R groups kept and K parameters.

    - ``x̂ = (x − μ)·ρ``, for either of the first two: 2N
    - ``dx = ρ·(g − mean(g) − x̂·mean(g·x̂))`` with ``g = dy·w``: 7N, and N for the weight
    - ``dw = Σ dy·x̂``: 2N − K
    - ``db = Σ dy``: N − K
    """
    n = prod(input.shape)
    of_input, of_weight, of_bias = output_mask
    standardised = 2 * n * (of_input or of_weight)
    of_parameters = of_weight * (n + reduction_ops(n, k)) + of_bias * reduction_ops(n, k)
    return Cost(
        other_flops=standardised + of_parameters + of_input * n * (7 + present(weight)),
        bytes_read=grad_out.bytes + input.bytes + statistic_bytes(input, 2 * r) + size_of(weight),
    )
