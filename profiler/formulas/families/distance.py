"""Distances between vectors in a p-norm: ``cdist`` and ``pdist``.

Legend: pairs of vectors of M elements. The counts follow the definition; checks for a zero distance are not counted.
``_euclidean_dist`` computes distances by a matrix product, whose MACs count. The other operators sum powers of
differences, which are not MACs. A p whose value is not kept counts as a general exponent.
"""

from __future__ import annotations

from math import inf, prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.reductions import norm_cost
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Number, Shape


@formula("aten::_cdist_forward")
def cdist(x1: Shape, p: Number, out: Shape) -> Cost:
    """Count the difference of each pair of ``(P, M)`` and ``(R, M)``, and its norm."""
    return _distances(prod(out), x1[-1], p)


@formula("aten::_pdist_forward")
def pdist(self: Shape, p: Number, out: Shape) -> Cost:
    """Count the differences of the n(n − 1)/2 pairs of n vectors, and their norms."""
    return _distances(prod(out), self[-1], p)


@formula("aten::_euclidean_dist")
def euclidean_dist(x1: Shape, x2: Shape, out: Shape) -> Cost:
    """Count ``sqrt(max(‖a‖² + ‖b‖² − 2a·b, 0))`` as one product of width M + 2, ``[−2a, ‖a‖², 1]·[b, 1, ‖b‖²]``.

    Outside the product: the squared norms, the multiplication by −2, and a compare and a root per pair.

    Source: _euclidean_dist in torch's aten/src/ATen/native/Distance.cpp.
    """
    m, pairs = x1[-1], prod(out)
    squares = sum(prod(x) + reduction_ops(prod(x), prod(x[:-1])) for x in (x1, x2))
    return Cost(macs=pairs * (m + 2), other_flops=squares + prod(x1) + pairs, transcendentals=pairs)


@formula("aten::_cdist_backward")
def cdist_backward(x1: Shape, p: Number, cdist: Shape, out: Shape) -> Cost:
    """Count the gradient of x1: a term per pair and element, summed over the second vectors."""
    return _gradients(prod(cdist), x1[-1], p, prod(out))


@formula("aten::_pdist_backward")
def pdist_backward(self: Shape, p: Number, pdist: Shape) -> Cost:
    """Count a term per pair and element, added to the gradient of one vector and subtracted from that of the other."""
    return _gradients(prod(pdist), self[-1], p, prod(self), sides=2)


def _distances(pairs: int, m: int, p: Number) -> Cost:
    """Count the norm of each pair's difference; for p = 0 the elements are compared directly."""
    norms = norm_cost(pairs * m, pairs, p)
    differences = 0 if p == 0 else pairs * m
    return Cost(other_flops=norms.other_flops + differences, transcendentals=norms.transcendentals)


def _gradients(pairs: int, m: int, p: Number, results: int, sides: int = 1) -> Cost:
    """Count the terms of all pairs, with ``d = a − b``, and their sums into *results* elements.

    - p = 0: no terms
    - p = 1: ``g·sign(d)``: 3 FLOPs per element
    - p = 2: ``(g/dist)·d``: 2 per element, 1 per pair
    - p = ∞: ``g·sign(d)`` where ``|d| = dist``: 5 per element
    - any other: ``(g/dist^(p − 1))·d·|d|^(p − 2)``: 4 and a power per element, 1 and a power per pair
    """
    if p == 0:
        return Cost()
    per_element, per_pair, powers = _TERMS.get(p, (4, 1, 1))
    return Cost(
        other_flops=pairs * (m * per_element + per_pair) + reduction_ops(sides * pairs * m, results),
        transcendentals=powers * pairs * (m + 1),
    )


#: By p: FLOPs per element of a pair, FLOPs per pair, and the number of powers per element and per pair.
_TERMS: dict[Number, tuple[int, int, int]] = {1: (3, 0, 0), 2: (2, 1, 0), inf: (5, 0, 0)}
