"""Normalisations against their definitions, on numbers that count their operations."""

from __future__ import annotations

from itertools import product

import numpy as np
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
)
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

import profiler

aten = torch.ops.aten
EPS = 1e-5
MASKS = [mask for mask in product([True, False], repeat=3) if any(mask)]


def standardised(x, axes):
    _, d, var = moments(x, axes)
    return d * rsqrt(var + EPS)


def gradients(dy, x, mean, rho, weight, axes, of_parameter, mask):
    """Return the gradients of ``(x − μ)·ρ·w + b`` in *mask*, where μ and ρ depend on x over *axes*."""
    n, of_input, of_weight, of_bias = np.prod([x.shape[a] for a in axes]), *mask
    xhat = (x - mean) * rho if of_input or of_weight else None
    dx = None
    if of_input:
        g = dy if weight is None else dy * weight
        c1 = g.sum(axis=axes, keepdims=True) / n
        c2 = (g * xhat).sum(axis=axes, keepdims=True) / n
        dx = (g - c1 - xhat * c2) * rho
    dw = (dy * xhat).sum(axis=of_parameter) if of_weight else None
    db = dy.sum(axis=of_parameter) if of_bias else None
    return dx, dw, db


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
@pytest.mark.parametrize(("with_weight", "with_bias"), [(True, True), (True, False), (False, False)])
def test_layer_norm_costs_its_definition(shape, with_weight, with_bias):
    x, t = torch.randn(2, 3, 4), Tally()
    w = torch.randn(shape) if with_weight else None
    b = torch.randn(shape) if with_bias else None
    axes = tuple(range(3 - len(shape), 3))
    y = affine(standardised(t.array(x), axes), *(p if p is None else t.array(p) for p in (w, b)))
    assert_agree([y], [F.layer_norm(x, shape, w, b, EPS)])
    assert counts(entry("aten.native_layer_norm", lambda: F.layer_norm(x, shape, w, b))) == t.counts


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_layer_norm_of_a_nested_tensor_costs_what_its_parts_do(backward):
    """No row that only pads the shorter part counts."""
    layer, parts = nn.LayerNorm(4), [torch.ones(2, 4), torch.ones(3, 4)]

    def cost(x):
        with profiler.profile() as p:
            out = layer(x.requires_grad_(backward))
            if backward:
                torch.autograd.grad(out, x, torch.ones_like(out))
        rows = [row for row in p.entries if "layer_norm" in row.record.packet]
        assert len(rows) == 1 + backward
        return [(row.other_flops, row.transcendentals, row.bytes_written) for row in rows]

    each = [cost(part) for part in parts]
    sums = [tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*each, strict=True)]
    assert cost(torch.nested.nested_tensor(parts)) == sums


@pytest.mark.parametrize("shape", [(3, 5), (7, 9)])
def test_layer_norm_writes_its_result_and_two_statistics_a_row(shape):
    x = torch.ones(shape)
    results = aten.native_layer_norm(x, shape[1:], None, None, EPS)
    written = sum(result.numel() * result.itemsize for result in results)
    assert entry("aten.native_layer_norm", lambda: F.layer_norm(x, shape[1:])).bytes_written == written


@pytest.mark.parametrize(("mask", "with_weight"), [*((mask, True) for mask in MASKS), ((True, False, False), False)])
def test_layer_norm_backward_costs_the_gradients_asked_for(mask, with_weight):
    dy, x, w, t = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.randn(4) if with_weight else None, Tally()
    _, mean, rstd = aten.native_layer_norm(x, (4,), w, w, EPS)
    arrays = [p if p is None else t.array(p) for p in (dy, x, mean, rstd, w)]
    ours = gradients(*arrays, (2,), (0, 1), mask)
    run = lambda: aten.native_layer_norm_backward(dy, x, (4,), mean, rstd, w, w, mask)
    assert_agree(ours, run())
    assert counts(entry("aten.native_layer_norm_backward", run)) == t.counts


def test_group_norm_costs_its_definition():
    x, w, b, t = torch.randn(2, 6, 5), torch.randn(6), torch.randn(6), Tally()
    y = standardised(t.array(x).reshape(2, 3, 10), (2,)).reshape(2, 6, 5)
    y = affine(y, t.array(w[:, None]), t.array(b[:, None]))
    assert_agree([y], [F.group_norm(x, 3, w, b, EPS)])
    assert counts(entry("aten.native_group_norm", lambda: F.group_norm(x, 3, w, b))) == t.counts


@pytest.mark.parametrize("mask", MASKS)
def test_group_norm_backward_costs_the_gradients_asked_for(mask):
    dy, x, w, t = torch.randn(2, 6, 5), torch.randn(2, 6, 5), torch.randn(6), Tally()
    _, mean, rstd = aten.native_group_norm(x, w, w, 2, 6, 5, 3, EPS)
    split = lambda tensor: t.array(tensor).reshape(2, 3, 2, -1)
    weight = t.array(w).reshape(3, 2, 1)
    ours = gradients(split(dy), split(x), *map(split, map(per_group, (mean, rstd))), weight, (2, 3), (0, 3), mask)
    run = lambda: aten.native_group_norm_backward(dy, x, mean, rstd, w, 2, 6, 5, 3, mask)
    assert_agree(ours, run())
    assert counts(entry("aten.native_group_norm_backward", run)) == t.counts


def per_group(statistic):
    return statistic[:, :, None].expand(2, 3, 2)


@pytest.mark.parametrize("with_weight", [True, False])
def test_fused_rms_norm_costs_its_definition(with_weight):
    x, w, t = torch.randn(2, 3, 4), torch.randn(4) if with_weight else None, Tally()
    a = t.array(x)
    r = rsqrt((a * a).sum(-1, keepdims=True) / 4 + EPS)
    y = affine(a * r, None if w is None else t.array(w), None)
    assert_agree([y], [F.rms_norm(x, (4,), w, EPS)])
    weight = spec(4) if with_weight else None
    cost = entry_of("aten._fused_rms_norm.default", (spec(2, 3, 4),), input=spec(2, 3, 4), normalized_shape=(4,),
                   weight=weight, eps=None)  # fmt: skip
    assert counts(cost) == t.counts
    assert cost.bytes_written == (24 + 6) * 4


@pytest.mark.parametrize("mask", [(True, True), (True, False), (False, True)])
def test_fused_rms_norm_backward_costs_the_gradients_asked_for(mask):
    x, w, t = torch.randn(2, 3, 4, requires_grad=True), torch.randn(4, requires_grad=True), Tally()
    dy = torch.randn(2, 3, 4)
    F.rms_norm(x, (4,), w, EPS).backward(dy)
    a, g, weight = t.array(x), t.array(dy), t.array(w)
    r = t.array((x.square().mean(-1, keepdim=True) + EPS).rsqrt())
    xhat = a * r
    dw = (g * xhat).sum(axis=(0, 1)) if mask[1] else None
    dx = None
    if mask[0]:
        scaled = g * weight
        dx = (scaled - xhat * ((scaled * xhat).sum(-1, keepdims=True) / 4)) * r
    assert_agree([dx, dw], [x.grad, w.grad])
    cost = entry_of("aten._fused_rms_norm_backward.default", (spec(2, 3, 4), spec(4)), grad_out=spec(2, 3, 4),
                   input=spec(2, 3, 4), normalized_shape=(4,), rstd=spec(2, 3, 1), weight=spec(4),
                   output_mask=mask)  # fmt: skip
    assert counts(cost) == t.counts
    assert cost.bytes_read == (24 + 24 + 6 + 4) * 4


@pytest.mark.parametrize(("dim", "g_shape"), [(0, (3, 1)), (1, (1, 4))])
def test_weight_norm_costs_its_definition(dim, g_shape):
    v, g, t = torch.randn(3, 4), torch.randn(g_shape), Tally()
    a = t.array(v)
    w = a * (t.array(g) / np.sqrt((a * a).sum(axis=1 - dim, keepdims=True)))
    assert_agree([w], [torch._weight_norm(v, g, dim)])
    assert counts(entry("aten._weight_norm_interface", lambda: torch._weight_norm(v, g, dim))) == t.counts


def test_weight_norm_backward_costs_its_definition():
    v, g, dw, t = torch.randn(3, 4), torch.randn(3, 1), torch.randn(3, 4), Tally()
    _, norms = aten._weight_norm_interface(v, g)
    v_, g_, dw_, n_ = map(t.array, (v, g, dw, norms))
    dg = (dw_ * v_).sum(axis=1, keepdims=True) / n_
    a = g_ / n_
    dv = a * dw_ - (a * dg / n_) * v_
    run = lambda: aten._weight_norm_interface_backward(dw, v, g, norms, 0)
    assert_agree([dv, dg], run())
    assert counts(entry("aten._weight_norm_interface_backward", run)) == t.counts


@pytest.mark.parametrize(
    ("operator", "run", "read", "written"),
    [
        # (2, 3, 4): six rows, four weights and biases; a mean and a reciprocal deviation per row are saved.
        ("native_layer_norm", lambda x, w: F.layer_norm(x, (4,), w, w), 24 + 8, 24 + 12),
        ("native_layer_norm_backward", lambda x, w: backward(F.layer_norm(x, (4,), w, w)), 48 + 12 + 4, 24 + 8),
        # One group in each of two samples, with three weights and biases.
        ("native_group_norm", lambda x, w: F.group_norm(x, 1, w[:3], w[:3]), 24 + 6, 24 + 4),
        ("native_group_norm_backward", lambda x, w: backward(F.group_norm(x, 1, w[:3], w[:3])), 48 + 4 + 3, 24 + 6),
        # Two norms of twelve elements, both saved.
        ("_weight_norm_interface", lambda x, _: torch._weight_norm(x, x[:, :1, :1]), 24 + 2, 24 + 2),
        ("_weight_norm_interface_backward", lambda x, _: backward(torch._weight_norm(x, x[:, :1, :1])), 48 + 4, 24 + 2),
    ],
)
def test_operands_and_kept_statistics_are_moved_once(operator, run, read, written):
    x, w = torch.randn(2, 3, 4, requires_grad=True), torch.randn(4, requires_grad=True)
    cost = entry(f"aten.{operator}", lambda: run(x, w))
    assert (cost.bytes_read, cost.bytes_written) == (read * 4, written * 4)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ("operator", "run"),
    [
        ("aten.native_layer_norm", lambda x: F.layer_norm(x, (4,))),
        ("aten.native_group_norm", lambda x: F.group_norm(x, 2)),
        ("aten.native_layer_norm_backward", lambda x: backward(F.layer_norm(x, (4,)))),
        ("aten.native_group_norm_backward", lambda x: backward(F.group_norm(x, 2))),
        ("aten._weight_norm_interface", lambda x: torch._weight_norm(x, x[:, :1, :1, :1])),
        ("aten._weight_norm_interface_backward", lambda x: backward(torch._weight_norm(x, x[:, :1, :1, :1]))),
    ],
)
def test_meta_and_cpu_cost_the_same(operator, run, half):
    x = torch.randn(2, 6, 4, 4, dtype=half, requires_grad=True)
    on_meta = torch.empty_like(x, device="meta", requires_grad=True)
    assert numbers(entry(operator, lambda: run(x))) == numbers(entry(operator, lambda: run(on_meta)))
