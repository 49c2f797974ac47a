"""Fused optimizer steps, each from its algorithm on counting numbers, and operators on lists of tensors."""

from __future__ import annotations

import math

import pytest
import torch
from formulas.scalar_operations import NOTATION, Tally, count_operations, counts, entry, matches, maximum, sqrt

from profiler.formulas.families.foreach import STEPS

aten = torch.ops.aten
LR, EPS = 0.125, 1e-3


def gradient(p, grad, of):
    """Negate to maximize, and add the decay of the weights."""
    g = -grad if of.get("maximize") else grad
    return g + of["weight_decay"] * p if of.get("weight_decay") else g


def adam(p, grad, state, of, step=2):
    """Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html."""
    g = gradient(p, grad, of)
    return _moved(p, g, state, of, step)


def adamw(p, grad, state, of, step=2):
    """Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html."""
    shrunk = p * (1 - LR * of["weight_decay"]) if of.get("weight_decay") else p
    return _moved(shrunk, -grad if of.get("maximize") else grad, state, of, step)


def _moved(p, g, state, of, step):
    beta1, beta2 = 0.7, 0.8
    first = beta1 * state["exp_avg"] + (1 - beta1) * g
    second = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g
    if of.get("amsgrad"):
        second = maximum(state["max_exp_avg_sq"], second)
    deviation = sqrt(second) / math.sqrt(1 - beta2**step) + EPS
    return p - LR / (1 - beta1**step) * first / deviation


def sgd(p, grad, state, of):
    """Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html."""
    g = gradient(p, grad, of)
    if of.get("momentum"):
        share = 1 - of.get("dampening", 0)
        buffer = of["momentum"] * state["momentum_buffer"] + (share * g if share != 1 else g)
        g = g + of["momentum"] * buffer if of.get("nesterov") else buffer
    return p - LR * g


def adagrad(p, grad, state, of):
    """Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html."""
    g = gradient(p, grad, of)
    return p - LR / (1 + (2 - 1) * 0.25) * g / (sqrt(state["sum"] + g * g) + EPS)


COMMON = {"lr": LR, "fused": True}
ADAM = COMMON | {"betas": (0.7, 0.8), "eps": EPS}
CASES = [
    ("adam", torch.optim.Adam, adam, ADAM, {}),
    ("adam", torch.optim.Adam, adam, ADAM, {"weight_decay": 0.3}),
    ("adam", torch.optim.Adam, adam, ADAM, {"amsgrad": True, "maximize": True}),
    ("adamw", torch.optim.AdamW, adamw, ADAM, {"weight_decay": 0.0}),
    ("adamw", torch.optim.AdamW, adamw, ADAM, {"weight_decay": 0.3, "amsgrad": True}),
    ("adamw", torch.optim.AdamW, adamw, ADAM, {"weight_decay": 0.3, "maximize": True}),
    ("sgd", torch.optim.SGD, sgd, COMMON, {}),
    ("sgd", torch.optim.SGD, sgd, COMMON, {"weight_decay": 0.3, "maximize": True}),
    ("sgd", torch.optim.SGD, sgd, COMMON, {"momentum": 0.9}),
    ("sgd", torch.optim.SGD, sgd, COMMON, {"momentum": 0.9, "dampening": 0.1}),
    ("sgd", torch.optim.SGD, sgd, COMMON, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.3}),
    ("adagrad", torch.optim.Adagrad, adagrad, COMMON | {"lr_decay": 0.25, "eps": EPS}, {}),
    ("adagrad", torch.optim.Adagrad, adagrad, COMMON | {"lr_decay": 0.25, "eps": EPS}, {"weight_decay": 0.3}),
]  # fmt: skip


def prepared(make, options):
    """Two parameters that have been through one step, with the gradients of the second."""
    params = [torch.nn.Parameter(torch.randn(n, dtype=torch.float64)) for n in (5, 3)]
    optimizer = make(params, **options)
    for _ in range(2):
        for p in params:
            p.grad = torch.randn_like(p)
        if not optimizer.state.get(params[0], {}).get("step"):
            optimizer.step()
    return params, optimizer


def test_every_fused_step_has_its_algorithm_here():
    assert {name for name, *_ in CASES} == set(STEPS)


@pytest.mark.parametrize(
    ("name", "make", "algorithm", "common", "chosen"), CASES, ids=[f"{name}-{chosen}" for name, *_, chosen in CASES]
)
def test_a_fused_step_costs_what_its_algorithm_computes(name, make, algorithm, common, chosen):
    params, optimizer = prepared(make, common | chosen)
    tally, expected = Tally(), []
    for p in params:
        state = {k: v for k, v in optimizer.state[p].items() if isinstance(v, torch.Tensor) and v.shape == p.shape}
        rows = zip(*(tally.numbers(t) for t in (p, p.grad, *state.values())), strict=True)
        expected.append([algorithm(row[0], row[1], dict(zip(state, row[2:], strict=True)), chosen) for row in rows])
    states = {
        (key, i): t
        for i, p in enumerate(params)
        for key, t in {"p": p, **optimizer.state[p]}.items()
        if isinstance(t, torch.Tensor) and t.shape == p.shape
    }
    before = {place: t.detach().clone() for place, t in states.items()}
    cost = entry(f"aten._fused_{name}_", optimizer.step)
    for made, p in zip(expected, params, strict=True):
        assert matches(made, p)
    assert counts(cost) == tally.counts
    # everything is written; the largest of the averages may be what it was
    assert all(not torch.equal(t, before[key, i]) for (key, i), t in states.items() if key != "max_exp_avg_sq")
    assert cost.bytes_written == sum(t.numel() * t.element_size() for t in states.values())


NAMES = {
    "p": "param", "grad": "grad", "m": "exp_avg", "v": "exp_avg_sq", "w": "max_exp_avg_sq", "b": "momentum_buffer",
    "s": "sum",
}  # fmt: skip
WRITTEN = [
    ("adam", torch.optim.Adam, ADAM | {"weight_decay": 0.3, "amsgrad": True},
     {"BETA1": 0.7, "BETA2": 0.8, "AMSGRAD": True}),
    ("adamw", torch.optim.AdamW, ADAM | {"weight_decay": 0.3}, {"BETA1": 0.7, "BETA2": 0.8, "AMSGRAD": False}),
    ("sgd", torch.optim.SGD, COMMON | {"weight_decay": 0.3, "momentum": 0.9, "dampening": 0.1},
     {"MOMENTUM": 0.9, "DAMPENING": 0.1, "NESTEROV": False, "IS_FIRST_STEP": False}),
    ("adagrad", torch.optim.Adagrad, COMMON | {"weight_decay": 0.3, "lr_decay": 0.25, "eps": EPS}, {"LR_DECAY": 0.25}),
]  # fmt: skip
GIVEN = {"LR": LR, "EPS": EPS, "WEIGHT_DECAY": 0.3, "STEP": 2, "MAXIMIZE": False, "GRAD_SCALE": None}


@pytest.mark.parametrize(("name", "make", "options", "arguments"), WRITTEN, ids=[name for name, *_ in WRITTEN])
def test_an_expression_of_the_table_evaluates_to_the_step_that_torch_makes(name, make, options, arguments):
    params, optimizer = prepared(make, options)
    tally, code = Tally(), compile(f"({STEPS[name]})", name, "eval")
    expected = []
    for p in params:
        tensors = {"param": p, "grad": p.grad} | optimizer.state[p]
        letters = {letter: tally.numbers(tensors[key]) for letter, key in NAMES.items() if key in tensors}
        rows = [dict(zip(letters, row, strict=True)) for row in zip(*letters.values(), strict=True)]
        expected.append([eval(code, NOTATION | GIVEN | arguments | row)[-1] for row in rows])  # noqa: S307
    cost = entry(f"aten._fused_{name}_", optimizer.step)
    for made, p in zip(expected, params, strict=True):
        assert matches(made, p)
    assert counts(cost) == tally.counts


def fused_adam(grad_scale=None):
    p, g, m, v = (torch.ones(6) for _ in range(4))
    aten._fused_adam_(
        [p], [g], [m], [v], [], [torch.ones(())], lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.0, eps=1e-8,
        amsgrad=False, maximize=False, grad_scale=grad_scale,
    )  # fmt: skip


def test_gradients_are_written_only_where_they_are_unscaled():
    plain = entry("aten._fused_adam_", fused_adam)
    scaled = entry("aten._fused_adam_", lambda: fused_adam(torch.ones(())))
    assert plain.bytes_written == 3 * 6 * 4
    assert scaled.bytes_written == 4 * 6 * 4
    assert scaled.other_flops - plain.other_flops == 6


def test_the_first_step_of_a_momentum_copies_the_gradient():
    p = torch.nn.Parameter(torch.randn(7))
    p.grad = torch.randn(7)
    optimizer = torch.optim.SGD([p], lr=LR, momentum=0.9, dampening=0.1, fused=True)
    assert counts(entry("aten._fused_sgd_", optimizer.step)) == (14, 0)


X, Y = torch.rand(2, 3), torch.rand(5)


@pytest.mark.parametrize(
    ("on_lists", "on_tensors"),
    [
        (lambda: torch._foreach_add([X, Y], [X, Y], alpha=2), lambda: [t.add(t, alpha=2) for t in (X, Y)]),
        (lambda: torch._foreach_add([X, Y], 2.5), lambda: [t.add(2.5) for t in (X, Y)]),
        (lambda: torch._foreach_add([X, Y], [2.5, 3.5]), lambda: [t.add(2.5) for t in (X, Y)]),
        (lambda: torch._foreach_mul_([X + 0, Y + 0], 2), lambda: [(t + 0).mul_(2) for t in (X, Y)]),
        (lambda: torch._foreach_pow([X, Y], [2, 2.5]), lambda: [X.pow(2), Y.pow(2.5)]),
        (lambda: torch._foreach_pow(2.5, [X, Y]), lambda: [2.5**X, 2.5**Y]),
        (lambda: torch._foreach_sqrt([X, Y]), lambda: [X.sqrt(), Y.sqrt()]),
        (lambda: torch._foreach_sigmoid([X, Y]), lambda: [X.sigmoid(), Y.sigmoid()]),
        (lambda: torch._foreach_clamp_max([X, Y], 0.3), lambda: [X.clamp_max(0.3), Y.clamp_max(0.3)]),
        (lambda: torch._foreach_addcmul([X, Y], [X, Y], [X, Y], 2), lambda: [t.addcmul(t, t, value=2) for t in (X, Y)]),
        (lambda: torch._foreach_addcmul([X, Y], [X, Y], [X, Y], [1, 2.5]),
         lambda: [X.addcmul(X, X), Y.addcmul(Y, Y, value=2.5)]),
        (lambda: torch._foreach_addcdiv_([X + 0, Y + 0], [X, Y], [X, Y], [1, 2.5]),
         lambda: [(X + 0).addcdiv_(X, X), (Y + 0).addcdiv_(Y, Y, value=2.5)]),
        (lambda: torch._foreach_lerp([X, Y], [X, Y], 0.3), lambda: [t.lerp(t, 0.3) for t in (X, Y)]),
        (lambda: torch._foreach_norm([X, Y]), lambda: [torch.linalg.vector_norm(t) for t in (X, Y)]),
        (lambda: torch._foreach_norm([X, Y], 1), lambda: [torch.linalg.vector_norm(t, 1) for t in (X, Y)]),
        (lambda: torch._foreach_max([X, Y]), lambda: [X.max(), Y.max()]),
        (lambda: torch._foreach_copy_([X + 0], [X]), lambda: [(X + 0).copy_(X)]),
        (lambda: torch._foreach_zero_([X + 0]), lambda: [(X + 0).zero_()]),
    ],
)  # fmt: skip
def test_an_operator_on_lists_costs_what_it_costs_on_each_tensor(on_lists, on_tensors):
    assert count_operations(on_lists) == count_operations(on_tensors)


def test_power_sums_of_lists_are_norms_without_their_roots():
    powsum = getattr(aten, "_foreach_powsum", None)
    if powsum is None:
        pytest.skip("this version of torch has no power sums")
    assert count_operations(lambda: powsum([X, Y], 2)) == (6 + 5 + 5 + 4, 0)
    assert count_operations(lambda: powsum([X, Y], 1)) == (6 + 5 + 5 + 4, 0)
    assert count_operations(lambda: powsum([X, Y], 3)) == (6 + 5 + 5 + 4, 11)


def test_to_unscale_tests_and_multiplies_each_gradient():
    run = lambda: torch._amp_foreach_non_finite_check_and_unscale_([X + 0, Y + 0], torch.zeros(1), torch.ones(1))
    assert counts(entry("aten._amp_foreach_non_finite_check_and_unscale_", run)) == (2 * 11, 0)


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad])
def test_a_step_that_is_not_fused_is_counted_whole(make):
    for foreach in (False, True):
        p = torch.nn.Parameter(torch.randn(7))
        p.grad = torch.randn(7)
        flops, _ = count_operations(make([p], lr=0.1, foreach=foreach).step)
        assert flops >= 2 * 7
