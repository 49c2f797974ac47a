# ruff: noqa: N803 - names in capitals are arguments, as in the notation of an expression
"""Activations and their derivatives: the table against torch, and against definitions written here."""

from __future__ import annotations

import math

import pytest
import torch
from formulas.scalar_operations import (
    Elementwise,
    Tally,
    absolute,
    compile_expression,
    counts,
    entry,
    erf,
    evaluate,
    exp,
    log,
    matches,
    maximum,
    minimum,
    tanh,
    where,
)
from torch.nn import functional

from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.scalar_expressions import operations

aten = torch.ops.aten


def sigmoid(x):
    return 1 / (1 + exp(-x))


def elu(x, SCALE, ALPHA, INPUT_SCALE):
    return where(x > 0, SCALE * x, (SCALE * ALPHA) * (exp(x * INPUT_SCALE) - 1))


def of_elu(grad, x, SCALE, ALPHA, INPUT_SCALE, IS_RESULT):
    """SCALE·ALPHA·INPUT_SCALE·exp(INPUT_SCALE·x), where x is the operand."""
    return where(x > 0, grad * SCALE, grad * (SCALE * ALPHA * INPUT_SCALE) * exp(x * INPUT_SCALE))


def of_elu_by_result(grad, y, SCALE, ALPHA, INPUT_SCALE, IS_RESULT):
    """INPUT_SCALE·(y + SCALE·ALPHA), where y is the result."""
    return where(y > 0, grad * SCALE, grad * INPUT_SCALE * (y + SCALE * ALPHA))


def gelu(x, APPROXIMATE):
    """x·Φ(x)."""
    return x * (0.5 * (1 + erf(x * math.sqrt(0.5))))


def gelu_by_tanh(x, APPROXIMATE):
    return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def of_gelu(grad, x, APPROXIMATE):
    """Φ(x) + x·φ(x)."""
    below = 0.5 * (1 + erf(x * math.sqrt(0.5)))
    density = exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return grad * (below + x * density)


def of_gelu_by_tanh(grad, x, APPROXIMATE):
    """½(1 + t) + ½x(1 − t²)·u', where t = tanh u."""
    square = x * x
    factor = math.sqrt(2 / math.pi)
    t = tanh(factor * (x + 0.044715 * square * x))
    inner = factor + factor * 3 * 0.044715 * square
    return grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)


def of_mish(grad, x):
    """Return ``t + x·(1 − t²)·σ(x)``, where t = tanh(log(1 + eˣ)) and σ = eˣ / (1 + eˣ)."""
    power = exp(x)
    more = 1 + power
    t = tanh(log(more))
    return grad * (t + x * (1 - t * t) * (power / more))


def of_silu(grad, x):
    """σ(x)·(1 + x·(1 − σ(x)))."""
    s = sigmoid(x)
    return grad * s * (1 + x * (1 - s))


def softplus(x, BETA, THRESHOLD):
    scaled = x * BETA
    return where(scaled > THRESHOLD, x, log(1 + exp(scaled)) / BETA)


def of_softplus(grad, x, BETA, THRESHOLD):
    scaled = x * BETA
    return where(scaled > THRESHOLD, grad, grad / (1 + exp(-scaled)))


def of_prelu(grad, x, w):
    positive = x > 0
    return where(positive, grad, w * grad), where(positive, 0, x * grad)


def drop(x, drawn):
    result, mask = aten.native_dropout(x, 0.75, True)
    drawn.copy_(~mask)  # a number of 0 is below every probability, and 1 below none
    return result


def noisy(x, noise):
    return aten.rrelu_with_noise(x, noise, 0.25, 0.5, True)


def noisy_functional(x, noise):
    result, drawn = aten.rrelu_with_noise_functional(x, noise, 0.25, 0.5, True)
    noise.copy_(drawn)
    return result


BOUNDS = {"MIN_VAL": -1.0, "MAX_VAL": 2.0}
ELU = {"ALPHA": 2.0, "SCALE": 3.0, "INPUT_SCALE": 0.5}
SOFT = {"BETA": 2.0, "THRESHOLD": 3.0}
CASES = [
    ("_prelu_kernel", Elementwise(aten._prelu_kernel, lambda x, w: where(x > 0, x, w * x))),
    ("celu", Elementwise(
        lambda x: aten.celu(x, 2.0), lambda x, ALPHA: where(x > 0, x, ALPHA * (exp(x / ALPHA) - 1)), {"ALPHA": 2.0})),
    ("elu", Elementwise(lambda x: aten.elu(x, *ELU.values()), elu, ELU)),
    ("gelu", Elementwise(aten.gelu, gelu, {"APPROXIMATE": "none"})),
    ("gelu", Elementwise(lambda x: aten.gelu(x, approximate="tanh"), gelu_by_tanh, {"APPROXIMATE": "tanh"})),
    ("glu", Elementwise(lambda x, gate: aten.glu(torch.cat([x, gate]), 0), lambda x, gate: x / (1 + exp(-gate)))),
    ("hardshrink", Elementwise(
        lambda x: aten.hardshrink(x, 0.5), lambda x, LAMBD: where(absolute(x) > LAMBD, x, 0), {"LAMBD": 0.5})),
    ("hardsigmoid", Elementwise(aten.hardsigmoid, lambda x: maximum(minimum(x + 3, 6), 0) / 6)),
    ("hardswish", Elementwise(aten.hardswish, lambda x: x * maximum(minimum(x + 3, 6), 0) / 6)),
    ("hardtanh", Elementwise(
        lambda x: aten.hardtanh(x, -1, 2), lambda x, MIN_VAL, MAX_VAL: minimum(MAX_VAL, maximum(MIN_VAL, x)), BOUNDS)),
    ("leaky_relu", Elementwise(
        lambda x: aten.leaky_relu(x, 0.5), lambda x, NEGATIVE_SLOPE: where(x >= 0, x, x * NEGATIVE_SLOPE),
        {"NEGATIVE_SLOPE": 0.5})),
    ("log_sigmoid_forward", Elementwise(lambda x: aten.log_sigmoid_forward(x)[0], lambda x: log(sigmoid(x)))),
    ("mish", Elementwise(aten.mish, lambda x: x * tanh(log(1 + exp(x))))),
    ("relu", Elementwise(aten.relu, lambda x: maximum(0, x))),
    ("relu6", Elementwise(functional.relu6, lambda x: minimum(maximum(0, x), 6), traced=False)),
    ("rrelu", Elementwise(noisy, lambda x, noise: where(x > 0, x, x * noise), traced=False)),
    ("rrelu_with_noise", Elementwise(noisy, lambda x, noise: where(x > 0, x, x * noise))),
    ("rrelu_with_noise_functional", Elementwise(noisy_functional, lambda x, noise: where(x > 0, x, x * noise))),
    ("selu", Elementwise(
        functional.selu,
        lambda x: where(x > 0, 1.0507009873554805 * x, (1.0507009873554805 * 1.6732632423543772) * (exp(x) - 1)),
        traced=False)),
    ("sigmoid", Elementwise(aten.sigmoid, sigmoid)),
    ("silu", Elementwise(aten.silu, lambda x: x / (1 + exp(-x)))),
    ("softplus", Elementwise(lambda x: aten.softplus(x, 2.0, 3.0), softplus, SOFT)),
    ("softshrink", Elementwise(
        lambda x: aten.softshrink(x, 0.5),
        lambda x, LAMBD: where(x > LAMBD, x - LAMBD, where(x < -LAMBD, x + LAMBD, 0)), {"LAMBD": 0.5})),
    ("threshold", Elementwise(
        lambda x: aten.threshold(x, 1, 3), lambda x, THRESHOLD, VALUE: where(x > THRESHOLD, x, VALUE),
        {"THRESHOLD": 1, "VALUE": 3})),
    ("native_dropout", Elementwise(
        drop, lambda x, drawn, P, TRAIN: x * (drawn < 1 - P) / (1 - P), {"P": 0.75, "TRAIN": True})),
    ("native_dropout", Elementwise(
        lambda x, drawn: aten.native_dropout(x, 0.5, False)[0],
        lambda x, drawn, P, TRAIN: x, {"P": 0.5, "TRAIN": False})),
    ("_fused_dropout", Elementwise(
        lambda x, drawn: x * (drawn < 0.5) / 0.5, lambda x, drawn, P: x * (drawn < P) / P, {"P": 0.5}, traced=False)),
    ("_masked_scale", Elementwise(
        lambda x, mask: x * mask * 2, lambda x, mask, SCALE: x * mask * SCALE, {"SCALE": 2.0}, traced=False)),
    ("_prelu_kernel_backward", Elementwise(aten._prelu_kernel_backward, of_prelu)),
    ("elu_backward", Elementwise(
        lambda grad, x: aten.elu_backward(grad, *ELU.values(), False, x), of_elu, ELU | {"IS_RESULT": False})),
    ("elu_backward", Elementwise(
        lambda grad, y: aten.elu_backward(grad, *ELU.values(), True, y),
        of_elu_by_result, ELU | {"IS_RESULT": True})),
    ("gelu_backward", Elementwise(aten.gelu_backward, of_gelu, {"APPROXIMATE": "none"})),
    ("gelu_backward", Elementwise(
        lambda grad, x: aten.gelu_backward(grad, x, approximate="tanh"), of_gelu_by_tanh, {"APPROXIMATE": "tanh"})),
    ("hardshrink_backward", Elementwise(
        lambda grad, x: aten.hardshrink_backward(grad, x, 0.5),
        lambda grad, x, LAMBD: where(absolute(x) > LAMBD, grad, 0), {"LAMBD": 0.5})),
    ("hardsigmoid_backward", Elementwise(
        aten.hardsigmoid_backward, lambda grad, x: where(x > -3, where(x < 3, grad / 6, 0), 0))),
    ("hardswish_backward", Elementwise(
        aten.hardswish_backward,
        lambda grad, x: where(x < -3, 0, where(x < 3, grad * (x / 3 + 0.5), grad)))),
    ("hardtanh_backward", Elementwise(
        lambda grad, x: aten.hardtanh_backward(grad, x, -1, 2),
        lambda grad, x, MIN_VAL, MAX_VAL: where(x > MIN_VAL, where(x < MAX_VAL, grad, 0), 0), BOUNDS)),
    ("leaky_relu_backward", Elementwise(
        lambda grad, x: aten.leaky_relu_backward(grad, x, 0.5, False),
        lambda grad, x, NEGATIVE_SLOPE: where(x > 0, grad, grad * NEGATIVE_SLOPE), {"NEGATIVE_SLOPE": 0.5})),
    ("log_sigmoid_backward", Elementwise(
        lambda grad, x: aten.log_sigmoid_backward(grad, x, aten.log_sigmoid_forward(x)[1]),
        lambda grad, x: grad / (1 + exp(x)))),
    ("mish_backward", Elementwise(aten.mish_backward, of_mish, traced=False)),
    ("native_dropout_backward", Elementwise(
        lambda grad, mask: aten.native_dropout_backward(grad, mask > 0, 2.0).where(mask > 0, grad * mask * 2),
        lambda grad, mask, SCALE: grad * mask * SCALE, {"SCALE": 2.0}, low=1, high=1)),
    ("rrelu_with_noise_backward", Elementwise(
        lambda grad, x, noise: aten.rrelu_with_noise_backward(grad, x, noise, 0.25, 0.5, True, False),
        lambda grad, x, noise, LOWER, UPPER, TRAINING: grad * noise,
        {"LOWER": 0.25, "UPPER": 0.5, "TRAINING": True})),
    ("rrelu_with_noise_backward", Elementwise(
        lambda grad, x, noise: aten.rrelu_with_noise_backward(grad, x, noise, 0.25, 0.5, False, False),
        lambda grad, x, noise, LOWER, UPPER, TRAINING: where(x > 0, grad, (LOWER + UPPER) / 2 * grad),
        {"LOWER": 0.25, "UPPER": 0.5, "TRAINING": False})),
    ("sigmoid_backward", Elementwise(aten.sigmoid_backward, lambda grad, y: grad * y * (1 - y))),
    ("silu_backward", Elementwise(aten.silu_backward, of_silu, traced=False)),
    ("softplus_backward", Elementwise(lambda grad, x: aten.softplus_backward(grad, x, 2.0, 3.0), of_softplus, SOFT)),
    ("softshrink_backward", Elementwise(
        lambda grad, x: aten.softshrink_backward(grad, x, 0.5),
        lambda grad, x, LAMBD: where(absolute(x) > LAMBD, grad, 0), {"LAMBD": 0.5})),
    ("tanh_backward", Elementwise(aten.tanh_backward, lambda grad, y: grad * (1 - y * y))),
    ("threshold_backward", Elementwise(
        lambda grad, x: aten.threshold_backward(grad, x, 1),
        lambda grad, x, THRESHOLD: where(x > THRESHOLD, grad, 0), {"THRESHOLD": 1})),
]  # fmt: skip


def test_every_activation_has_a_definition_here():
    assert {name for name, _ in CASES} == set(ACTIVATIONS)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_an_activation_costs_what_its_definition_computes(name, case):
    ours, tallied = evaluate(name, case, case.define)
    assert ours == tallied


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_an_expression_of_the_table_evaluates_to_what_torch_computes(name, case):
    results = 2 if name == "_prelu_kernel_backward" else 1
    ours, tallied = evaluate(name, case, compile_expression(ACTIVATIONS[name], results))
    assert ours == tallied


def test_the_gradient_of_a_gated_linear_unit_costs_as_many_elements_as_the_result_has():
    """Both halves from one sigmoid: ``g·σ``, and ``g·σ·a·(1 − σ)``."""
    grad, x, gate = (torch.randn(7, dtype=torch.float64) for _ in range(3))
    result = []
    cost = entry("aten.glu_backward", lambda: result.append(aten.glu_backward(grad, torch.cat([x, gate]), 0)))
    tally = Tally()
    halves = [], []
    for g, a, b in zip(*map(tally.numbers, (grad, x, gate)), strict=True):
        s = sigmoid(b)
        halves[0].append(g * s)
        halves[1].append(halves[0][-1] * a * (1 - s))
    assert matches([*halves[0], *halves[1]], result[0])
    assert counts(cost) == tally.counts


@pytest.mark.parametrize(
    ("module", "flops", "transcendentals"),
    [
        (torch.nn.ReLU(), 1, 0),
        (torch.nn.ReLU6(), 2, 0),
        (torch.nn.Sigmoid(), 3, 1),
        (torch.nn.Tanh(), 0, 1),
        (torch.nn.SiLU(), 3, 1),
        (torch.nn.GELU(), 4, 1),
        (torch.nn.GELU("tanh"), 8, 1),
        (torch.nn.ELU(), 2, 1),
        (torch.nn.SELU(), 4, 1),
        (torch.nn.Softplus(), 2, 2),
        (torch.nn.LeakyReLU(0.1), 2, 0),
        (torch.nn.Hardswish(), 5, 0),
        (torch.nn.Identity(), 0, 0),
    ],
    ids=str,
)
def test_a_module_costs_its_operations_for_each_element(module, flops, transcendentals):
    """Worked out by hand; an α, β or scale of 1 is no product."""
    import profiler

    totals = profiler.count(module, torch.randn(3, 5)).totals
    assert (totals.macs, totals.other_flops, totals.transcendentals) == (0, 15 * flops, 15 * transcendentals)


def test_dropout_costs_the_same_in_one_operator_and_in_three():
    """Compare, mask and scale; on this device it runs as bernoulli_, div_ and mul."""
    import profiler

    x = torch.randn(4, 6)
    with profiler.profile() as composed:
        functional.dropout(x, 0.3)
    with profiler.profile() as fused:
        aten.native_dropout(x, 0.3, True)
    assert composed.totals.other_flops == fused.totals.other_flops == 3 * 24


def test_an_argument_that_makes_an_operation_idle_takes_it_off():
    assert operations("x + ALPHA * y", {"alpha": 1}) == (1, 0)
    assert operations("x + ALPHA * y", {"alpha": 0}) == (0, 0)
    assert operations("x + ALPHA * y", {"alpha": None}) == (2, 0)
    assert operations("x / BETA - EPS", {"beta": 1, "eps": 0}) == (0, 0)
    assert operations("EPS + x", {"eps": 0}) == (0, 0)
    assert operations("EPS - x", {"eps": 0}) == (1, 0)


def test_work_between_constants_is_done_once_and_not_counted():
    assert operations("x * (2 * sqrt(ALPHA) ** 3 / PI - exp(BETA))", {"alpha": None, "beta": 2.0}) == (1, 0)


def test_a_value_kept_is_computed_once():
    assert operations("(s := exp(x)) * s", {}) == (1, 1)


def test_steps_give_the_last_of_them():
    assert operations("(y := -x, ALPHA) * 2", {"alpha": 3}) == (1, 0)
    assert operations("(ALPHA, -x) * 2", {"alpha": 3}) == (2, 0)


def test_an_expression_refuses_what_its_notation_does_not_have():
    with pytest.raises(ValueError, match="unsupported syntax"):
        operations("x and y", {})
