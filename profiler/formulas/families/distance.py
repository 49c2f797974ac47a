"""Distances between vectors by a p-norm: ``cdist`` and ``pdist``.

Counted for each pair of vectors of M elements, from the definition. Tests that guard a zero distance are left out.
Where a distance is made from a matrix product (``_euclidean_dist``), that product is a contraction; sums of powers of
differences are none. A p that is not known here arrives as None, and counts as a general exponent.
"""

from __future__ import annotations

from math import inf, prod
from typing import TYPE_CHECKING

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.families.reductions import norm_cost
from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape


@formula("aten::_cdist_forward")
def cdist(x1: Shape, p: float | None, out: Shape) -> Cost:
    """Count the difference of each of the pairs, ``(P, M)`` against ``(R, M)``, and its norm."""
    return _distances(prod(out), x1[-1], p)


@formula("aten::_pdist_forward")
def pdist(self: Shape, p: float | None, out: Shape) -> Cost:
    """Count the same for the n(n − 1)/2 pairs of n vectors."""
    return _distances(prod(out), self[-1], p)


@formula("aten::_euclidean_dist")
def euclidean_dist(x1: Shape, x2: Shape, out: Shape) -> Cost:
    """Count ``sqrt(max(‖a‖² + ‖b‖² − 2a·b, 0))`` as one product of width M + 2, ``[−2a, ‖a‖², 1]·[b, 1, ‖b‖²]``.

    Beside it: the squared norms, the product with −2, and a compare and a root for each pair.

    Source: _euclidean_dist in torch's aten/src/ATen/native/Distance.cpp.
    """
    m, pairs = x1[-1], prod(out)
    squares = sum(prod(x) + reduction_ops(prod(x), prod(x[:-1])) for x in (x1, x2))
    return Cost(macs=pairs * (m + 2), other_flops=squares + prod(x1) + pairs, transcendentals=pairs)


@formula("aten::_cdist_backward")
def cdist_backward(x1: Shape, p: float | None, cdist: Shape, out: Shape) -> Cost:
    """Count the gradient of x1: for each pair and element a term, and their sum over the second vectors."""
    return _gradients(prod(cdist), x1[-1], p, prod(out))


@formula("aten::_pdist_backward")
def pdist_backward(self: Shape, p: float | None, pdist: Shape) -> Cost:
    """Count a term for each pair and element, which is added to the one vector and subtracted from the other."""
    return _gradients(prod(pdist), self[-1], p, prod(self), sides=2)


def _distances(pairs: int, m: int, p: float | None) -> Cost:
    """Norm the difference of each pair; for p = 0 the elements themselves are compared."""
    norms = norm_cost(pairs * m, pairs, p)
    differences = 0 if p == 0 else pairs * m
    return Cost(other_flops=norms.other_flops + differences, transcendentals=norms.transcendentals)


def _gradients(pairs: int, m: int, p: float | None, results: int, sides: int = 1) -> Cost:
    """Count the terms of every pair, with ``d = a − b``, and their sums into *results* elements.

    - p = 0: none
    - p = 1: ``g·sign(d)``: 3 for each element
    - p = 2: ``(g/dist)·d``: 2, and 1 for each pair
    - p = ∞: ``g·sign(d)`` where ``|d| = dist``: 5
    - any other: ``(g/dist^(p − 1))·d·|d|^(p − 2)``: 4 and a power, and for each pair 1 and a power
    """
    if p == 0:
        return Cost()
    of_element, of_pair, powers = _TERMS.get(p, (4, 1, 1)) if p is not None else (4, 1, 1)
    return Cost(
        other_flops=pairs * (m * of_element + of_pair) + reduction_ops(sides * pairs * m, results),
        transcendentals=powers * pairs * (m + 1),
    )


#: By p: FLOPs for each element of a pair, FLOPs for the pair, and whether both take a power.
_TERMS: dict[float, tuple[int, int, int]] = {1: (3, 0, 0), 2: (2, 1, 0), inf: (5, 0, 0)}
