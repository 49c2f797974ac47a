"""Sampling at given points against its definition, on numbers that count: the grid is data."""

from __future__ import annotations

from functools import reduce
from itertools import product
from operator import mul

import numpy as np
import pytest
import torch
from formulas.array_operations import (
    Scalar,
    Tally,
    assert_agree,
    counts,
    entry,
    entry_of,
    floor,
    maximum,
    minimum,
    numbers,
    spec,
)
from torch.nn import functional as F  # noqa: N812 - its usual name

MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}
A = -0.75


def position(g, n, aligned):
    return (g + 1) / 2 * (n - 1) if aligned else ((g + 1) * n - 1) / 2


def padded(x, n, padding, aligned):
    if padding == "reflection":
        low, span = (0, n - 1) if aligned else (-0.5, n)
        away = abs(x - low)
        rest, flips = away % span, floor(away / span)
        from_low, from_high = rest + low, span - rest + low
        x = from_low if flips % 2 == 0 else from_high
    return x if padding == "zeros" else minimum(maximum(x, 0), n - 1)


def cubic_weights(t):
    near = lambda x: ((A + 2) * x - (A + 3)) * x * x + 1
    far = lambda x: ((A * x - 5 * A) * x + 8 * A) * x - 4 * A
    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def cubic_slopes(t):
    """Return the derivatives of the cubic weights, as torch computes them."""
    far = lambda x, sign: (sign * 3 * A * x - 10 * A) * x
    near = lambda x, sign: (sign * 3 * (A + 2) * x - 2 * (A + 3)) * x
    return [far(-1 - t, -1) - 8 * A, near(-t, -1), near(1 - t, 1), far(2 - t, 1) + 8 * A]


def linear_taps(point, sizes, padding, aligned):
    """Return the two neighbours on each axis and their weights."""
    taps = []
    for g, n in zip(point, sizes, strict=True):
        x = padded(position(g, n, aligned), n, padding, aligned)
        whole = floor(x)
        rest = x - whole
        taps.append([(int(whole.value), 1 - rest), (int(whole.value) + 1, rest)])
    return taps


def cubic_taps(point, sizes, padding, aligned):
    taps = []
    for g, n in zip(point, sizes, strict=True):
        x = position(g, n, aligned)
        whole = floor(x)
        t = x - whole
        places = [padded(Scalar(whole.value + i, whole.tally), n, padding, aligned) for i in range(-1, 3)]
        taps.append([(int(p.value), w) for p, w in zip(places, cubic_weights(t), strict=True)])
    return taps


def look_up(plane, place, nothing):
    inside = all(0 <= i < n for i, n in zip(place, plane.shape, strict=True))
    return plane[place] if inside else nothing


def sample(x, grid, mode, padding, aligned, tally):
    out = np.empty((x.shape[0], x.shape[1], *grid.shape[1:-1]), dtype=object)
    nothing = Scalar(0.0, tally)
    for b, *at in np.ndindex(grid.shape[:-1]):
        point, sizes = grid[(b, *at)][::-1], x.shape[2:]  # the last coordinate is that of the first axis
        if mode == "nearest":
            places = [
                padded(position(g, n, aligned), n, padding, aligned).round() for g, n in zip(point, sizes, strict=True)
            ]
            place = tuple(int(p.value) for p in places)
            for c in range(x.shape[1]):
                out[(b, c, *at)] = look_up(x[b, c], place, nothing)
            continue
        if mode == "bilinear":
            taps = linear_taps(point, sizes, padding, aligned)
            corners = [([i for i, _ in corner], reduce(mul, [w for _, w in corner])) for corner in product(*taps)]
            for c in range(x.shape[1]):
                terms = [look_up(x[b, c], tuple(place), nothing) * w for place, w in corners]
                out[(b, c, *at)] = sum(terms[1:], terms[0])
            continue
        rows, columns = cubic_taps(point, sizes, padding, aligned)
        for c in range(x.shape[1]):
            lines = [sum_of(look_up(x[b, c], (i, j), nothing) * w for j, w in columns) for i, _ in rows]
            out[(b, c, *at)] = sum_of(line * w for line, (_, w) in zip(lines, rows, strict=True))
    return out


def sum_of(terms):
    return reduce(lambda a, b: a + b, terms)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("mode", "dims"), [("bilinear", 2), ("bilinear", 3), ("nearest", 2), ("nearest", 3), ("bicubic", 2)]
)
def test_sampling_costs_its_definition(mode, dims, padding, aligned):
    x, t = torch.randn(2, 3, *(5, 4, 3)[:dims]), Tally()
    grid = torch.rand(2, *(3, 2, 2)[:dims], dims) * 3 - 1.5
    run = lambda: F.grid_sample(x, grid, mode, padding, aligned)
    assert_agree([sample(t.array(x), t.array(grid), mode, padding, aligned, t)], [run()])
    assert counts(entry(f"aten.grid_sampler_{dims}d", run)) == t.counts


def gradients(dy, x, grid, mode, aligned, mask, tally):
    """Spread each gradient over the neighbours of its point, and sum the slopes there, with zeros around."""
    of_input, of_grid = mask
    dx, dgrid, nothing = tally.zeros(*x.shape), np.zeros(grid.shape, dtype=object), Scalar(0.0, tally)
    for b, *at in np.ndindex(grid.shape[:-1]):
        point, sizes = grid[(b, *at)][::-1], x.shape[2:]
        taps = (linear_taps if mode == "bilinear" else cubic_taps)(point, sizes, "zeros", aligned)
        places = [[i for i, _ in axis] for axis in taps]
        weights = [[w for _, w in axis] for axis in taps]
        slopes = slopes_of(mode, point, sizes, aligned, of_grid)
        corners = list(product(*map(range, map(len, places))))
        if mode == "bilinear" and of_input:
            joined = {corner: reduce(mul, (w[k] for w, k in zip(weights, corner, strict=True))) for corner in corners}
        terms = [[] for _ in sizes]
        for c, corner in product(range(x.shape[1]), corners):
            place = tuple(axis[k] for axis, k in zip(places, corner, strict=True))
            g, value = dy[(b, c, *at)], look_up(x[b, c], place, nothing)
            if of_input:
                given = g * joined[corner] if mode == "bilinear" else g * weights[0][corner[0]] * weights[1][corner[1]]
                total = look_up(dx[b, c], place, nothing) + given
                if total is not None and all(0 <= i < n for i, n in zip(place, sizes, strict=True)):
                    dx[(b, c, *place)] = total
            for axis in range(len(sizes)) if of_grid else ():
                others = [w[k] for a, (w, k) in enumerate(zip(weights, corner, strict=True)) if a != axis]
                slope = slopes[axis][corner[axis]]
                term = reduce(mul, others, value)
                term = (term if slope in {1, -1} else term * slope) * g if mode == "bilinear" else term * slope * g
                terms[axis].append((term, slope if mode == "bilinear" else -1))
        if of_grid:
            dgrid[(b, *at)] = [
                signed_sum(axis) * ((n - 1) / 2 if aligned else n / 2) for axis, n in zip(terms, sizes, strict=True)
            ][::-1]
    return dx if of_input else None, dgrid if of_grid else None


def slopes_of(mode, point, sizes, aligned, of_grid):
    """Return the derivative of each neighbour's weight along each axis: −1 and 1, or that of a cubic."""
    if mode == "bilinear" or not of_grid:
        return [[-1, 1]] * len(sizes)
    slopes = []
    for g, n in zip(point, sizes, strict=True):
        x = position(Scalar(g.value, Tally()), n, aligned)
        slopes.append(cubic_slopes(Scalar(x.value - np.floor(x.value), g.tally)))
    return slopes


def signed_sum(terms):
    """Add or subtract the terms; a sign takes nothing."""
    first, sign = terms[0]
    total = first if sign == 1 else Scalar(-first.value, first.tally)
    for term, sign in terms[1:]:
        total = total + term if sign == 1 else total - term
    return total


@pytest.mark.parametrize("mask", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(("mode", "dims"), [("bilinear", 2), ("bilinear", 3), ("bicubic", 2)])
def test_backward_costs_the_gradients_asked_for(mode, dims, aligned, mask):
    x, t = torch.randn(1, 2, *(5, 4, 3)[:dims]), Tally()
    grid = torch.rand(1, *(3, 2, 2)[:dims], dims) * 3 - 1.5
    dy = torch.randn(1, 2, *grid.shape[1:-1])
    operator = getattr(torch.ops.aten, f"grid_sampler_{dims}d_backward")
    run = lambda: operator(dy, x, grid, MODES[mode], 0, aligned, mask)
    dx, dgrid = run()
    assert_agree(gradients(t.array(dy), t.array(x), t.array(grid), mode, aligned, mask, t), (dx, dgrid))
    assert counts(entry(f"aten.grid_sampler_{dims}d_backward", run)) == t.counts


def test_backward_of_the_nearest_adds_to_the_input_alone():
    x, grid, dy = torch.randn(1, 2, 4, 4), torch.rand(1, 3, 3, 2), torch.randn(1, 2, 3, 3)
    cost = lambda mask: counts(
        entry(
            "aten.grid_sampler_2d_backward",
            lambda: torch.ops.aten.grid_sampler_2d_backward(dy, x, grid, 1, 0, True, mask),
        )
    )
    # 9 points: each coordinate placed by 3 and rounded, and an add for each of 2 channels.
    assert cost((True, False)) == cost((True, True)) == (9 * (2 * 4 + 2), 0)


def test_cudnn_samples_linearly_with_aligned_corners():
    x, grid = torch.randn(1, 2, 4, 4), torch.rand(1, 3, 3, 2)
    own = entry("aten.grid_sampler_2d", lambda: F.grid_sample(x, grid, align_corners=True))
    measured = entry_of(
        "aten.cudnn_grid_sampler.default", (spec(1, 2, 3, 3),), self=spec(1, 2, 4, 4), grid=spec(1, 3, 3, 2)
    )
    assert counts(measured) == counts(own)
    y = F.grid_sample(x.requires_grad_(), grid.requires_grad_(), align_corners=True)
    own = entry("aten.grid_sampler_2d_backward", lambda: y.sum().backward())
    measured = entry_of("aten.cudnn_grid_sampler_backward.default", (spec(1, 2, 4, 4), spec(1, 3, 3, 2)),
                   self=spec(1, 2, 4, 4), grid=spec(1, 3, 3, 2), grad_output=spec(1, 2, 3, 3))  # fmt: skip
    assert counts(measured) == counts(own)


@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_an_affine_grid_is_a_matrix_product(size):
    dims = len(size) - 2
    theta = torch.randn(2, dims, dims + 1)
    measured = entry("aten.affine_grid_generator", lambda: F.affine_grid(theta, size, align_corners=False))
    points = torch.ones(2, int(np.prod(size[2:])), dims + 1)
    # With every base point (1, 1, …) and a map of ones, each product is one.
    assert measured.macs == (points @ torch.ones_like(theta).transpose(1, 2)).sum()


def test_backward_of_an_affine_grid_is_the_product_transposed():
    forward = entry(
        "aten.affine_grid_generator", lambda: F.affine_grid(torch.ones(2, 2, 3), (2, 1, 4, 5), align_corners=False)
    )
    measured = entry_of("aten.cudnn_affine_grid_generator_backward.default", (spec(2, 2, 3),), grad=spec(2, 4, 5, 2))
    assert measured.macs == forward.macs


@pytest.mark.parametrize("mode", MODES)
def test_meta_and_cpu_cost_the_same(mode):
    def run(device):
        x, grid = torch.ones(1, 2, 4, 4, device=device), torch.ones(1, 3, 3, 2, device=device)
        return entry("aten.grid_sampler_2d", lambda: F.grid_sample(x, grid, mode, align_corners=False))

    assert numbers(run("cpu")) == numbers(run("meta"))
