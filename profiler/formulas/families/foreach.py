"""Operators on lists of tensors: fused optimizer steps, and reductions of each tensor.

Pointwise ``_foreach_`` operators are in ``pointwise.py``. The arithmetic of a step is an expression per element, and is
counted as in ``scalar_expressions.py``. What depends only on the step (bias corrections, the decay of the learning
rate) is computed once per tensor and not counted. A weight decay or momentum of 0 costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.families.reductions import norm_cost
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.values.records import Number, Value

Tensors = tuple[TensorSpec, ...]

_GRADIENT = "g := grad if GRAD_SCALE is None else grad / GRAD_SCALE, g := -g if MAXIMIZE else g"
_DECAY = "g := g + WEIGHT_DECAY * p"
_MOMENTS = "m := BETA1 * m + (1 - BETA1) * g, v := BETA2 * v + (1 - BETA2) * g * g, w := max(w, v) if AMSGRAD else v"
_ADAM = "p - LR / (1 - BETA1 ** STEP) * m / (sqrt(w) / sqrt(1 - BETA2 ** STEP) + EPS)"

#: Expression of a fused step, per element p of a parameter.
#: Source: aten/src/ATen/native/cpu/FusedAdamKernel.cpp, FusedSGDKernel.cpp and FusedAdagradKernel.cpp of torch.
STEPS: Mapping[str, str] = {
    "adam": f"{_GRADIENT}, {_DECAY}, {_MOMENTS}, {_ADAM}",
    "adamw": f"{_GRADIENT}, p := p * (1 - LR * WEIGHT_DECAY), {_MOMENTS}, {_ADAM}",
    "sgd": f"""{_GRADIENT}, {_DECAY},
        b := g if MOMENTUM == 0 else g if IS_FIRST_STEP else MOMENTUM * b + (1 - DAMPENING) * g,
        p - LR * (g + MOMENTUM * b if NESTEROV else b)""",
    "adagrad": f"""{_GRADIENT}, {_DECAY},
        s := s + g * g,
        p - LR / (1 + (STEP - 1) * LR_DECAY) * g / (sqrt(s) + EPS)""",
}


@formula("aten::_fused_adam_")
def fused_adam(
    self: Tensors, grads: Tensors, exp_avgs: Tensors, exp_avg_sqs: Tensors, max_exp_avg_sqs: Tensors,
    weight_decay: Number, amsgrad: bool, maximize: bool, grad_scale: TensorSpec | None,
) -> Cost:  # fmt: skip
    """Count an Adam step: 12 FLOPs and a square root per parameter, and 2 more FLOPs with weight decay."""
    arguments = {"weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize, "grad_scale": grad_scale}
    return _step("adam", arguments, grads, (self, exp_avgs, exp_avg_sqs, max_exp_avg_sqs if amsgrad else ()))


@formula("aten::_fused_adamw_")
def fused_adamw(
    self: Tensors, grads: Tensors, exp_avgs: Tensors, exp_avg_sqs: Tensors, max_exp_avg_sqs: Tensors,
    weight_decay: Number, amsgrad: bool, maximize: bool, grad_scale: TensorSpec | None,
) -> Cost:  # fmt: skip
    """Count an AdamW step: 12 FLOPs and a square root per parameter, and 1 more FLOP with weight decay."""
    arguments = {"weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize, "grad_scale": grad_scale}
    return _step("adamw", arguments, grads, (self, exp_avgs, exp_avg_sqs, max_exp_avg_sqs if amsgrad else ()))


@formula("aten::_fused_sgd_")
def fused_sgd(
    self: Tensors, grads: Tensors, momentum_buffer_list: Tensors, weight_decay: Number, momentum: Number,
    dampening: Number, nesterov: bool, maximize: bool, is_first_step: bool, grad_scale: TensorSpec | None,
) -> Cost:  # fmt: skip
    """Count an SGD step: 2 FLOPs per parameter, and the operations of momentum and weight decay."""
    arguments = {
        "weight_decay": weight_decay, "momentum": momentum, "dampening": dampening, "nesterov": nesterov,
        "maximize": maximize, "is_first_step": is_first_step, "grad_scale": grad_scale,
    }  # fmt: skip
    return _step("sgd", arguments, grads, (self, momentum_buffer_list))


@formula("aten::_fused_adagrad_")
def fused_adagrad(
    self: Tensors, grads: Tensors, state_sums: Tensors, weight_decay: Number, maximize: bool,
    grad_scale: TensorSpec | None,
) -> Cost:  # fmt: skip
    """Count an Adagrad step: 6 FLOPs and a square root per parameter, and 2 more FLOPs with weight decay."""
    arguments = {"weight_decay": weight_decay, "maximize": maximize, "grad_scale": grad_scale}
    return _step("adagrad", arguments, grads, (self, state_sums))


@formula("aten::_amp_foreach_non_finite_check_and_unscale")
def unscale(self: Tensors) -> Cost:
    """Count checking each gradient for infinity and NaN, and multiplying it by the inverse scale."""
    return Cost(other_flops=2 * sum(map(numel, self)))


@formula("aten::_foreach_norm")
def foreach_norm(self: Tensors, ord: Number) -> Cost:
    """Count the norm of each tensor."""
    costs = [norm_cost(numel(tensor), 1, ord) for tensor in self]
    return Cost(
        other_flops=sum(cost.other_flops for cost in costs), transcendentals=sum(cost.transcendentals for cost in costs)
    )


@formula("aten::_foreach_powsum")
def foreach_powsum(self: Tensors, ord: Number) -> Cost:
    """Count the norm of each tensor without its root."""
    cost = foreach_norm(self, ord)
    return Cost(other_flops=cost.other_flops, transcendentals=max(cost.transcendentals - len(self), 0))


@formula("aten::_foreach_max")
def foreach_max(self: Tensors) -> Cost:
    """Count the compares for the maximum of each tensor."""
    return Cost(other_flops=sum(reduction_ops(numel(tensor), 1) for tensor in self))


def _step(optimizer: str, arguments: Mapping[str, Value], grads: Tensors, states: tuple[Tensors, ...]) -> Cost:
    """Count a step that updates all *states*, the first of which are the parameters.

    Gradients are written back only if the step unscales them.
    """
    n, each = sum(map(numel, states[0])), operations(STEPS[optimizer], arguments)
    written = sum(spec.bytes for state in states for spec in state)
    if arguments["grad_scale"] is not None:
        written += sum(spec.bytes for spec in grads)
    return Cost(other_flops=n * each.flops, transcendentals=n * each.transcendentals, bytes_written=written)
