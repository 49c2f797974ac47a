"""Distances against their definition, on numbers that count."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
import torch
from formulas.array_operations import (
    Tally,
    assert_agree,
    backward,
    counts,
    entry,
    entry_of,
    maximum,
    numbers,
    sign,
    spec,
    values,
)
from torch.nn import functional as F  # noqa: N812 - its usual name

NORMS = [0.0, 1.0, 2.0, 3.0, 1.5]


def norm(d, p):
    """Norm the last dimension of differences."""
    if p == 1:
        return abs(d).sum(-1)
    if p == 2:
        return np.sqrt((d * d).sum(-1))
    return abs(d).max(-1) if p == inf else (abs(d) ** p).sum(-1) ** (1 / p)


def distance(a, b, p, tally):
    if p == 0:
        return tally.array(torch.tensor((a != b).astype(float))).sum(-1)
    return norm(a - b, p)


@pytest.mark.parametrize("p", NORMS)
def test_distances_cost_differences_and_norms(p):
    a, b, t = torch.randn(2, 4, 3), torch.randn(2, 5, 3), Tally()
    ours = distance(t.array(a)[:, :, None], t.array(b)[:, None], p, t)
    assert_agree([ours], [torch.cdist(a, b, p)])
    assert counts(entry("aten._cdist_forward", lambda: torch.cdist(a, b, p))) == t.counts


@pytest.mark.parametrize("p", NORMS)
def test_distances_among_vectors_are_of_each_pair_once(p):
    x, t = torch.randn(5, 3), Tally()
    first, second = np.triu_indices(5, 1)
    a = t.array(x)
    assert_agree([distance(a[first], a[second], p, t)], [F.pdist(x, p)])
    assert counts(entry("aten._pdist_forward", lambda: F.pdist(x, p))) == t.counts


def test_the_largest_difference_takes_compares_and_no_power():
    a, b, t = torch.randn(4, 3), torch.randn(5, 3), Tally()
    assert_agree([norm(t.array(a)[:, None] - t.array(b), inf)], [torch.cdist(a, b, inf)])
    assert counts(entry("aten._cdist_forward", lambda: torch.cdist(a, b, inf))) == t.counts


def test_a_distance_by_products_is_a_contraction_of_width_two_more():
    a, b, t = torch.randn(2, 30, 3), torch.randn(2, 5, 3), Tally()
    x, y = t.array(a), t.array(b)
    left = [-2 * x, (x * x).sum(-1)]
    right = [y, (y * y).sum(-1)]
    assert entry("aten._euclidean_dist", lambda: torch.cdist(a, b)).macs == 2 * 30 * 5 * (3 + 2)
    # The product itself is made apart, so that it is not counted twice.
    products = torch.einsum("bpm,brm->bpr", values(left[0]), values(right[0]))
    squares = products + values(left[1])[:, :, None] + values(right[1])[:, None]
    distances = t.array(squares)
    assert_agree([np.sqrt(maximum(distances, 0))], [torch.cdist(a, b)])
    assert counts(entry("aten._euclidean_dist", lambda: torch.cdist(a, b))) == t.counts


def terms(d, g, dist, p):
    """Return the gradient of each difference; *g* and *dist* are those of its pair."""
    if p == 1:
        return sign(d) * g[..., None]
    if p == 2:
        return d * (g / dist)[..., None]
    return d * abs(d) ** (p - 2) * (g / dist ** (p - 1))[..., None]


@pytest.mark.parametrize("p", NORMS[1:])
def test_backward_of_distances_costs_a_term_for_each_pair_and_their_sums(p):
    a, b, t = torch.randn(2, 4, 3, requires_grad=True), torch.randn(2, 5, 3), Tally()
    y = torch.cdist(a, b, p)
    dy = torch.randn_like(y)
    cost = entry("aten._cdist_backward", lambda: y.backward(dy))
    d = t.array(a)[:, :, None] - t.array(b)[:, None]
    assert_agree([terms(d, t.array(dy), t.array(y), p).sum(2)], [a.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize("p", NORMS[1:])
def test_backward_of_pairs_gives_each_term_to_both(p):
    x, t = torch.randn(5, 3, requires_grad=True), Tally()
    y = F.pdist(x, p)
    dy = torch.randn_like(y)
    cost = entry("aten._pdist_backward", lambda: y.backward(dy))
    first, second = np.triu_indices(5, 1)
    a = t.array(x)
    given = terms(a[first] - a[second], t.array(dy), t.array(y), p)
    rows = []
    for i in range(5):
        mine = [(term, +1) for term, j in zip(given, first, strict=True) if j == i]
        mine += [(term, -1) for term, j in zip(given, second, strict=True) if j == i]
        total = mine[0][0] if mine[0][1] == 1 else t.array(-values(mine[0][0]))
        for term, side in mine[1:]:
            total = total + term if side == 1 else total - term
        rows.append(total)
    assert_agree([np.stack(rows)], [x.grad])
    assert counts(cost) == t.counts


def test_counting_differences_has_no_gradient():
    y = torch.cdist(torch.randn(4, 3, requires_grad=True), torch.randn(5, 3), 0.0)
    assert counts(entry("aten._cdist_backward", lambda: backward(y))) == (0, 0)


def test_the_gradient_of_the_largest_difference_is_where_it_is():
    # For each of 20 pairs and 3 elements: difference, size, whether it is the largest, sign, product; 4·3 sums of 5.
    cost = entry_of(
        "aten._cdist_backward.default",
        (spec(4, 3),),
        grad_output=spec(4, 5),
        x1=spec(4, 3),
        x2=spec(5, 3),
        p=inf,
        cdist=spec(4, 5),
    )
    assert counts(cost) == (20 * 3 * 5 + 4 * 3 * 4, 0)


def test_meta_and_cpu_cost_the_same():
    run = lambda device: entry("aten._cdist_forward", lambda: torch.cdist(*(torch.ones(4, 3, device=device),) * 2))
    assert numbers(run("cpu")) == numbers(run("meta"))
