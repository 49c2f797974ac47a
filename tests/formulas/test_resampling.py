"""Interpolation against its definition, axis by axis, on numbers that count their operations.

Weights are plain numbers, so that computing them is free.
"""

from __future__ import annotations

from itertools import product
from math import floor, pi, sin

import numpy as np
import pytest
import torch
from formulas.array_operations import Scalar, Tally, assert_agree, backward, counts, entry, numbers
from torch.nn import functional as F  # noqa: N812 - its usual name

SIZES = [(4, 8), (5, 7), (7, 3), (6, 6), (1, 5), (9, 2)]
MODES = {"linear": (1, 2), "bilinear": (2, 2), "trilinear": (3, 2), "bicubic": (2, 4)}


def taps(length, outputs, count, align_corners):
    """Return, for each output, the inputs that it reads with their weights."""
    positions = [(o + 0.5) * length / outputs - 0.5 for o in range(outputs)]
    if align_corners:
        positions = [o * (length - 1) / (outputs - 1) if outputs > 1 else 0.0 for o in range(outputs)]
    if count == 2:
        positions = [max(p, 0.0) for p in positions]
    shape = triangle if count == 2 else cubic
    firsts = [floor(p + 1e-9) - count // 2 + 1 for p in positions]
    return [
        [(min(max(i, 0), length - 1), shape(p - i)) for i in range(first, first + count)]
        for first, p in zip(firsts, positions, strict=True)
    ]


def triangle(x):
    return max(0.0, 1 - abs(x))


def cubic(x, a=-0.75):
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def lanczos(x, a=3):
    return 1.0 if x == 0 else a * sin(pi * x) * sin(pi * x / a) / (pi * x) ** 2 if abs(x) < a else 0.0


def interpolated(x, axes):
    """Return one output: ``Σ w·(…)`` over the first axis, of the values interpolated on the other axes."""
    (first, *others) = axes
    terms = [w * (interpolated(x[i], others) if others else x[i]) for i, w in first]
    return sum(terms[1:], terms[0])


def resampled(x, axes):
    out = np.empty((*x.shape[: -len(axes)], *map(len, axes)), dtype=object)
    for plane in np.ndindex(out.shape[: -len(axes)]):
        for place in np.ndindex(out.shape[-len(axes) :]):
            out[plane + place] = interpolated(x[plane], [axis[o] for axis, o in zip(axes, place, strict=True)])
    return out


def transposed(dy, shape, axes):
    dx = np.zeros(shape, dtype=object)
    for plane in np.ndindex(dy.shape[: -len(axes)]):
        for place in np.ndindex(dy.shape[-len(axes) :]):
            spread(dx[plane], dy[plane + place], [axis[o] for axis, o in zip(axes, place, strict=True)])
    return dx


def spread(dx, g, axes):
    """Add the weighted gradient to each neighbour; the first share of an element takes no add."""
    (first, *others) = axes
    for i, w in first:
        if others:
            spread(dx[i], w * g, others)
        else:
            share = g if w is None else w * g
            dx[i] = dx[i] + share if isinstance(dx[i], Scalar) else share


def operator(mode):
    return f"aten.upsample_{mode}{MODES[mode][0]}d"


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("length", "outputs"), SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_interpolation_costs_its_definition(mode, length, outputs, align_corners):
    dims, count = MODES[mode]
    x, t = torch.randn(1, 2, *(length, 3, 2)[:dims]), Tally()
    size = (outputs, 4, 3)[:dims]
    run = lambda: F.interpolate(x, size=size, mode=mode, align_corners=align_corners)
    axes = [taps(n, o, count, align_corners) for n, o in zip(x.shape[2:], size, strict=True)]
    assert_agree([resampled(t.array(x), axes)], [run()])
    assert counts(entry(operator(mode), run)) == t.counts


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("length", "outputs"), SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_backward_of_interpolation_costs_the_transpose(mode, length, outputs, align_corners):
    dims, count = MODES[mode]
    x, t = torch.randn(1, 2, *(length, 3, 2)[:dims], requires_grad=True), Tally()
    y = F.interpolate(x, size=(outputs, 4, 3)[:dims], mode=mode, align_corners=align_corners)
    dy = torch.randn_like(y)
    cost = entry(f"{operator(mode)}_backward", lambda: y.backward(dy))
    axes = [taps(n, o, count, align_corners) for n, o in zip(x.shape[2:], y.shape[2:], strict=True)]
    assert_agree([transposed(t.array(dy), x.shape, axes)], [x.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize(("mode", "flops"), [("linear", 3), ("bilinear", 9), ("trilinear", 21), ("bicubic", 35)])
def test_an_output_costs_a_known_number(mode, flops):
    # Two neighbours: w·a + w·b is 3; of two such 2·3 + 3 = 9; of two such 2·9 + 3 = 21. Four: 7; 4·7 + 7 = 35.
    x = torch.ones(1, 1, *[4] * MODES[mode][0])
    cost = entry(operator(mode), lambda: F.interpolate(x, scale_factor=2, mode=mode))
    assert counts(cost) == (8 ** MODES[mode][0] * flops, 0)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("length", "outputs"), SIZES)
def test_backward_of_the_nearest_adds_the_copies(length, outputs, dims, exact):
    x, t = torch.randn(1, 2, *(length, 3, 2)[:dims], requires_grad=True), Tally()
    y = F.interpolate(x, size=(outputs, 4, 3)[:dims], mode="nearest-exact" if exact else "nearest")
    dy = torch.randn_like(y)
    name = f"aten.{'_upsample_nearest_exact' if exact else 'upsample_nearest'}{dims}d_backward"
    cost = entry(name, lambda: y.backward(dy))
    half = 0.5 if exact else 0
    axes = [
        [[(floor((o + half) * n / m + 1e-9), None)] for o in range(m)]
        for n, m in zip(x.shape[2:], y.shape[2:], strict=True)
    ]
    assert_agree([copied(t.array(dy), x.shape, axes)], [x.grad])
    assert counts(cost) == t.counts


def copied(dy, shape, axes):
    dx = np.zeros(shape, dtype=object)
    for place in np.ndindex(dy.shape):
        at = (*place[:2], *(axis[o][0][0] for axis, o in zip(axes, place[2:], strict=True)))
        dx[at] = dx[at] + dy[place] if isinstance(dx[at], Scalar) else dy[place]
    return dx


FILTERS = {"bilinear": (triangle, 1), "bicubic": (lambda x: cubic(x, -0.5), 2), "lanczos": (lanczos, 3)}


def filtered(length, outputs, mode):
    """Return, for each output, the inputs whose centres the filter covers, with weights that sum to one."""
    shape, reach = FILTERS[mode]
    scale = length / outputs
    stretch = max(scale, 1.0)
    windows = []
    for o in range(outputs):
        centre = (o + 0.5) * scale
        offsets = {i: (i + 0.5 - centre) / stretch for i in range(length)}
        inside = {i: shape(x) for i, x in offsets.items() if abs(x) < reach - 1e-9}
        windows.append([(i, w / sum(inside.values())) for i, w in inside.items()])
    return windows


def resize(mode):
    if mode == "lanczos" and not hasattr(torch.ops.aten, "_upsample_lanczos2d_aa"):
        pytest.skip("this torch has no Lanczos filter")
    return getattr(torch.ops.aten, f"_upsample_{mode}2d_aa")


@pytest.mark.parametrize(("length", "outputs"), SIZES)
@pytest.mark.parametrize("mode", FILTERS)
def test_antialiasing_filters_rows_then_columns(mode, length, outputs):
    x, t = torch.randn(1, 2, length, 5), Tally()
    run = lambda: resize(mode)(x, [outputs, 3], False, None, None)
    y = run()
    rows = resampled(t.array(x), [filtered(5, 3, mode)])
    ours = resampled(rows.swapaxes(2, 3), [filtered(length, outputs, mode)]).swapaxes(2, 3)
    assert_agree([ours], [y])
    assert counts(entry(f"aten._upsample_{mode}2d_aa", run)) == t.counts


@pytest.mark.parametrize(("length", "outputs"), SIZES)
@pytest.mark.parametrize("mode", FILTERS)
def test_backward_of_antialiasing_costs_the_transpose(mode, length, outputs):
    dy, t = torch.randn(1, 2, outputs, 3), Tally()
    run = lambda: getattr(torch.ops.aten, f"{resize(mode).__name__}_backward")(
        dy, [outputs, 3], [1, 2, length, 5], False
    )
    columns = transposed(t.array(dy).swapaxes(2, 3), (1, 2, 3, length), [filtered(length, outputs, mode)])
    ours = transposed(columns.swapaxes(2, 3), (1, 2, length, 5), [filtered(5, 3, mode)])
    assert_agree([ours], [run()])
    assert counts(entry(f"aten._upsample_{mode}2d_aa_backward", run)) == t.counts


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("align_corners", [True, False])
def test_an_antialiased_impulse_is_felt_where_the_filter_reads(align_corners, outputs):
    # An output along the row reads exactly the inputs whose impulse changes it.
    x = torch.eye(9).reshape(9, 1, 1, 9)
    run = lambda x: F.interpolate(x, (1, outputs), mode="bilinear", antialias=True, align_corners=align_corners)
    reads = int(run(x).count_nonzero())
    # Along the single row: 2·reads − outputs. Along the columns, of one input each: a multiply per output.
    assert counts(entry("aten._upsample_bilinear2d_aa", lambda: run(x[:1]))) == (2 * reads - outputs + outputs, 0)


@pytest.mark.parametrize(
    ("size", "kernel", "dilation", "padding", "stride"),
    [
        ((5, 5), 3, 1, 1, 2),
        ((4, 5), 2, 1, 0, 1),
        ((6, 6), 2, 1, 0, 2),
        ((7, 5), 2, 2, 1, 1),
        ((6, 7), 1, 1, 0, 3),
        ((7, 5), 2, 1, 0, 2),
    ],
)
def test_folding_adds_where_columns_overlap(size, kernel, dilation, padding, stride):
    places = [(n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for n in size]
    columns, t = torch.randn(2, 3 * kernel**2, places[0] * places[1]), Tally()
    run = lambda: F.fold(columns, size, kernel, dilation, padding, stride)
    image = np.zeros((2, 3, *size), dtype=object)
    values = t.array(columns).reshape(2, 3, kernel, kernel, *places)
    for n, c, i, j, u, v in product(*map(range, values.shape)):
        at = (n, c, u * stride - padding + i * dilation, v * stride - padding + j * dilation)
        if all(0 <= a < limit for a, limit in zip(at[2:], size, strict=True)):
            value = values[n, c, i, j, u, v]
            image[at] = image[at] + value if isinstance(image[at], Scalar) else value
    assert_agree([image], [run()])
    assert counts(entry("aten.col2im", run)) == t.counts


@pytest.mark.parametrize("mode", MODES)
def test_meta_and_cpu_cost_the_same(mode):
    dims = MODES[mode][0]
    cpu, meta = (torch.ones(1, 2, *[4] * dims, device=device, requires_grad=True) for device in ("cpu", "meta"))
    resize = lambda x: F.interpolate(x, scale_factor=1.7, mode=mode)
    for name, run in [(operator(mode), resize), (f"{operator(mode)}_backward", lambda x: backward(resize(x)))]:
        assert numbers(entry(name, lambda run=run: run(cpu))) == numbers(entry(name, lambda run=run: run(meta)))
