"""Batch normalisation against its definition, in both modes, and synchronised over devices."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from formulas.array_operations import (
    Tally,
    affine,
    assert_agree,
    backward,
    counts,
    entry,
    entry_of,
    moments,
    numbers,
    rsqrt,
    spec,
    values,
)
from torch.nn import functional as F  # noqa: N812 - its usual name

aten = torch.ops.aten
EPS = 1e-5
#: It arrives as any of these, by the version of torch and the mode.
FORWARD = ("aten.native_batch_norm", "aten._native_batch_norm_legit", "aten._native_batch_norm_legit_no_training")
AXES, OF_CHANNEL, SHAPE = (0, 2, 3), (0, 2, 3), (2, 3, 4, 2)
N, C = 48, 3
MASKS = [mask for mask in product([True, False], repeat=3) if any(mask)]
PARAMETERS = [(True, True), (True, False), (False, False)]


def channels(t, tensor):
    return None if tensor is None else t.array(tensor[None, :, None, None])


@pytest.mark.parametrize(("with_weight", "with_bias"), PARAMETERS)
def test_evaluation_costs_its_definition(with_weight, with_bias):
    x, mean, var, t = torch.randn(SHAPE), torch.randn(C), torch.rand(C), Tally()
    w, b = torch.randn(C) if with_weight else None, torch.randn(C) if with_bias else None
    y = (t.array(x) - channels(t, mean)) * rsqrt(channels(t, var) + EPS)
    y = affine(y, channels(t, w), channels(t, b))
    run = lambda: F.batch_norm(x, mean, var, w, b)
    assert_agree([y], [run()])
    cost = entry(FORWARD, run)
    assert counts(cost) == t.counts
    assert cost.bytes_written == N * 4


@pytest.mark.parametrize(("with_weight", "with_bias"), PARAMETERS)
@pytest.mark.parametrize("running", [True, False])
def test_training_costs_its_definition_and_the_running_statistics(running, with_weight, with_bias):
    x, mean, var, t = torch.randn(SHAPE), torch.randn(C), torch.rand(C), Tally()
    w, b = torch.randn(C) if with_weight else None, torch.randn(C) if with_bias else None
    batch_mean, d, batch_var = moments(t.array(x), AXES)
    y = affine(d * rsqrt(batch_var + EPS), channels(t, w), channels(t, b))
    statistics = (mean.clone(), var.clone()) if running else (None, None)
    if running:
        n = N // C
        new_mean = 0.9 * channels(t, mean) + 0.1 * batch_mean
        new_var = 0.9 * channels(t, var) + 0.1 * (batch_var * (n / (n - 1)))
    cost = entry(FORWARD, lambda: F.batch_norm(x, *statistics, w, b, training=True))
    assert_agree([y], [F.batch_norm(x, None, None, w, b, training=True)])
    if running:
        assert_agree([new_mean, new_var], statistics)
    assert counts(cost) == t.counts
    assert cost.bytes_written == (N + 2 * C + 2 * C * running) * 4


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("with_weight", [True, False])
def test_backward_in_training_costs_the_gradients_asked_for(mask, with_weight):
    dy, x, w, t = torch.randn(SHAPE), torch.randn(SHAPE), torch.randn(C) if with_weight else None, Tally()
    _, mean, rho = aten.native_batch_norm(x, w, w, None, None, True, 0.1, EPS)
    g, r = t.array(dy), channels(t, rho)
    of_input, of_weight, of_bias = mask
    xhat = (t.array(x) - channels(t, mean)) * r if of_input or of_weight else None
    db = g.sum(AXES, keepdims=True) if of_input or of_bias else None
    dw = (g * xhat).sum(AXES, keepdims=True) if of_input or of_weight else None
    dx = None
    if of_input:
        n = N // C
        dx = (g - db / n - xhat * (dw / n)) * (r if w is None else channels(t, w) * r)
    run = lambda: aten.native_batch_norm_backward(dy, x, w, None, None, mean, rho, True, EPS, mask)
    assert_agree([dx, dw if of_weight else None, db if of_bias else None], run())
    cost = entry("aten.native_batch_norm_backward", run)
    assert counts(cost) == t.counts
    assert cost.bytes_read == (2 * N + C * with_weight + 2 * C) * 4


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("with_weight", [True, False])
def test_backward_in_evaluation_costs_the_gradients_asked_for(mask, with_weight):
    dy, x, w, t = torch.randn(SHAPE), torch.randn(SHAPE), torch.randn(C) if with_weight else None, Tally()
    mean, var = torch.randn(C), torch.rand(C)
    g, (of_input, of_weight, of_bias) = t.array(dy), mask
    r = rsqrt(channels(t, var) + EPS) if of_input or of_weight else None
    db = g.sum(AXES) if of_bias else None
    dw = (g * ((t.array(x) - channels(t, mean)) * r)).sum(AXES) if of_weight else None
    dx = g * (r if w is None else channels(t, w) * r) if of_input else None
    run = lambda: aten.native_batch_norm_backward(dy, x, w, mean, var, None, None, False, EPS, mask)
    assert_agree([dx, dw, db], run())
    cost = entry("aten.native_batch_norm_backward", run)
    assert counts(cost) == t.counts
    assert cost.bytes_read == (2 * N + C * with_weight + 2 * C) * 4


def test_instance_norm_costs_a_batch_norm_of_each_sample():
    x = torch.randn(2, 3, 4, 4)
    instance = entry(FORWARD, lambda: F.instance_norm(x))
    batch = entry(FORWARD, lambda: F.batch_norm(x.reshape(1, 6, 4, 4), None, None, training=True))
    assert numbers(instance) == numbers(batch)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_meta_and_cpu_cost_the_same(backwards, training, dtype):
    def run(device):
        module = torch.nn.BatchNorm2d(3, device=device, dtype=dtype).train(training)
        y = module(torch.ones(SHAPE, device=device, dtype=dtype, requires_grad=True))
        return backward(y) if backwards else y

    operator = "aten.native_batch_norm_backward" if backwards else FORWARD
    cpu, meta = (entry(operator, lambda device=device: run(device)) for device in ("cpu", "meta"))
    assert numbers(cpu) == numbers(meta)


@pytest.mark.parametrize("training", [True, False])
def test_every_form_of_the_operator_costs_the_same(training):
    x, w = spec(*SHAPE), spec(C)
    arguments = {"input": x, "weight": w, "bias": w, "running_mean": w, "running_var": w, "training": training}
    names = ["native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional"]
    names += ["_batch_norm_with_update" if training else "_batch_norm_no_update"]
    names += [] if training else ["_native_batch_norm_legit_no_training"]
    assert len({numbers(entry_of(f"aten.{name}.default", (x, w, w), **arguments)) for name in names}) == 1


@pytest.mark.parametrize("library", ["cudnn", "miopen"])
@pytest.mark.parametrize("training", [True, False])
def test_libraries_cost_what_torch_itself_costs(library, training):
    x, w = spec(*SHAPE), spec(C)
    common = {"input": x, "weight": w, "bias": w, "running_mean": w, "running_var": w, "training": training}
    own = entry_of("aten.native_batch_norm.default", (x, w, w), **common, momentum=None, eps=None)
    cost = entry_of(
        f"aten.{library}_batch_norm.default", (x, w, w), **common, exponential_average_factor=None, epsilon=None
    )
    assert numbers(cost) == numbers(own)


@pytest.mark.parametrize("library", ["cudnn", "miopen"])
def test_backward_of_libraries_costs_all_gradients_in_training(library):
    x, w = spec(*SHAPE), spec(C)
    own = entry_of(
        "aten.native_batch_norm_backward.default",
        (x, w, w),
        grad_out=x,
        input=x,
        weight=w,
        running_mean=None,
        running_var=None,
        train=True,
        output_mask=(True, True, True),
    )
    cost = entry_of(f"aten.{library}_batch_norm_backward.default", (x, w, w), input=x, grad_output=x, weight=w)
    assert numbers(cost) == numbers(own)


@pytest.mark.parametrize("with_weight", [True, False])
def test_synchronised_normalisation_is_the_two_halves_of_training(with_weight):
    x, w = spec(*SHAPE), spec(C) if with_weight else None
    stats = entry_of("aten.batch_norm_stats.default", (spec(C), spec(C)), input=x)
    scaled = entry_of("aten.batch_norm_elemt.default", (x,), input=x, weight=w, bias=w, mean=spec(C), invstd=spec(C))
    whole = entry_of("aten._native_batch_norm_legit.no_stats", (x, spec(C), spec(C)), input=x, weight=w, bias=w)
    # Each half subtracts the mean from every element; at once that is done once.
    assert stats.other_flops + scaled.other_flops == whole.other_flops + N
    assert stats.transcendentals + scaled.transcendentals == whole.transcendentals


def test_update_of_statistics_costs_mean_and_variance():
    x, t = torch.randn(SHAPE), Tally()
    mean, var = torch.randn(C), torch.rand(C)
    old = (mean.clone(), var.clone())
    cost = entry("aten.batch_norm_update_stats", lambda: aten.batch_norm_update_stats(x, mean, var, 0.1))
    batch_mean, _, batch_var = moments(t.array(x), AXES)
    n = N // C
    new_mean = 0.9 * channels(t, old[0]) + 0.1 * batch_mean
    new_var = 0.9 * channels(t, old[1]) + 0.1 * (batch_var * (n / (n - 1)))
    assert_agree([new_mean, new_var], [mean, var])
    assert counts(cost) == t.counts
    assert cost.bytes_written == 4 * C * 4


@pytest.mark.parametrize("running", [True, False])
def test_gathered_statistics_are_those_of_the_whole_batch(running):
    x, t, eps = torch.randn(4, 8, C), Tally(), EPS
    mean, var = t.array(x.mean(1)), x.var(1, unbiased=False)
    invstd, old = t.array((var + eps).rsqrt()), t.array(torch.zeros(C)) if running else None
    average, squares, n = t.array(torch.zeros(C)), t.array(torch.zeros(C)), t.array(torch.zeros(C))
    for device in range(4):
        s = 1 / invstd[device]
        s = (s * s - eps) * 8
        joined = n + 8
        factor = 1 / joined
        gap = average - mean[device]
        squares = squares + (s + gap * gap * n * 8 * factor)
        average = n * factor * average + 8 * factor * mean[device]
        n = joined
    result = rsqrt(squares / n + eps)
    if running:
        _ = 0.9 * old + 0.1 * average, 0.9 * old + 0.1 * (squares / 31)
    expected = x.flatten(0, 1)
    assert_agree([average, result], [expected.mean(0), (expected.var(0, unbiased=False) + eps).rsqrt()])
    extra = spec(C) if running else None
    cost = entry_of("aten.batch_norm_gather_stats_with_counts.default", (spec(C), spec(C)), input=spec(32, C),
                   mean=spec(4, C), invstd=spec(4, C), running_mean=extra, running_var=extra)  # fmt: skip
    assert counts(cost) == t.counts
    assert cost.bytes_written == (2 * C + 2 * C * running) * 4


@pytest.mark.parametrize("with_weight", [True, False])
def test_synchronised_backward_costs_its_definition(with_weight):
    x, w, dy, t = torch.randn(SHAPE, requires_grad=True), torch.rand(C), torch.randn(SHAPE), Tally()
    F.batch_norm(x, None, None, w if with_weight else None, training=True).backward(dy)
    mean = x.mean(AXES)
    rho = (x.var(AXES, unbiased=False) + EPS).rsqrt()
    g, r = t.array(dy), channels(t, rho)
    sum_dy, sum_dy_xmu = g.sum(AXES), (g * (t.array(x) - channels(t, mean))).sum(AXES)
    _ = sum_dy_xmu * t.array(rho)
    reduce = entry_of("aten.batch_norm_backward_reduce.default", (spec(C),) * 4, grad_out=spec(*SHAPE),
                    input=spec(*SHAPE), weight_g=True)  # fmt: skip
    assert counts(reduce) == t.counts

    t = Tally()
    g, r, sum_dy, sum_dy_xmu = t.array(dy), channels(t, rho), t.array(values(sum_dy)), t.array(values(sum_dy_xmu))
    one = 1 / t.array(torch.tensor([10.0, 6.0])).sum()
    m, f = sum_dy * one, r.reshape(-1) * r.reshape(-1) * sum_dy_xmu * one
    scale = channels(t, w) * r if with_weight else r
    dx = (g - m.reshape(1, C, 1, 1) - (t.array(x) - channels(t, mean)) * f.reshape(1, C, 1, 1)) * scale
    assert_agree([dx], [x.grad])
    elemt = entry_of(
        "aten.batch_norm_backward_elemt.default",
        (spec(*SHAPE),),
        grad_out=spec(*SHAPE),
        input=spec(*SHAPE),
        weight=spec(C) if with_weight else None,
        count=spec(2),
    )
    assert counts(elemt) == t.counts
