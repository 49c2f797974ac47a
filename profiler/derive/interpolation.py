"""Interpolate many costs in many variables at once, exactly, from as few points as their mixed terms need.

Each variable has a list of nodes. A point of the grid is a tuple of node indices, one for each variable. A cost is
expanded in a hierarchical basis: the function that belongs to grid point ``(i, j)`` is zero at every node before i and
before j. So its coefficient, the hierarchical surplus, is the cost at that point minus what the earlier functions
contribute there. A point is sampled only if all its direct predecessors have a nonzero surplus, so each mixed term that
the model does not have costs one point to rule out.

Source: T. Gerstner and M. Griebel, Dimension-Adaptive Tensor-Product Quadrature, Computing 71 (2003), section 3, for
the admissible sets; the surpluses are Newton's divided differences.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from profiler.derive.hierarchical_basis import HierarchicalBasis
from profiler.derive.polynomials import ONE, Monomial, Polynomial, add, multiply, scale

if TYPE_CHECKING:
    from profiler.derive.samples import Origin, Samples
    from profiler.derive.univariate import Bases
    from profiler.derive.variables import Point

Index = tuple[int, ...]


def interpolate(samples: Samples, nodes: dict[str, list[int]], bases: dict[str, Bases]) -> dict[Origin, Polynomial]:
    """Return the interpolating polynomial of every origin.

    Args:
        samples: Returns the cost at a point.
        nodes: The nodes of each variable, in the order in which they are used.
        bases: For each variable and origin, the monomials that the cost consists of.
    """
    grid = _Grid(samples, nodes, bases)
    grid.grow()
    return grid.polynomials()


class _Grid:
    """The sampled points of the grid, with the surpluses of every origin."""

    def __init__(self, samples: Samples, nodes: dict[str, list[int]], bases: dict[str, Bases]) -> None:
        self._samples, self._nodes, self._bases = samples, nodes, bases
        self._names = list(nodes)
        self._surpluses: dict[Index, dict[Origin, Fraction]] = {}
        self._cache: dict[tuple[int, tuple[Monomial, ...]], HierarchicalBasis] = {}

    def grow(self) -> None:
        """Sample from the first node on, until every direction ends in zero surpluses."""
        start = (0,) * len(self._names)
        queue, queued = deque([start]), {start}
        while queue:
            index = queue.popleft()
            surpluses = self._surpluses_at(index)
            if not surpluses and any(index):
                continue
            self._surpluses[index] = surpluses
            for axis in range(len(index)):
                after = _shift(index, axis, 1)
                if after not in queued and after[axis] < len(self._nodes[self._names[axis]]) and self._is_next(after):
                    queued.add(after)
                    queue.append(after)

    def polynomials(self) -> dict[Origin, Polynomial]:
        """Sum the basis functions of every origin, each times its surplus."""
        terms: dict[Origin, list[Polynomial]] = {}
        for index, surpluses in self._surpluses.items():
            for origin, surplus in surpluses.items():
                terms.setdefault(origin, []).append(scale(self._function(origin, index), surplus))
        sums = {origin: add(polynomials) for origin, polynomials in terms.items()}
        return {origin: polynomial for origin, polynomial in sums.items() if polynomial}

    def _surpluses_at(self, index: Index) -> dict[Origin, Fraction]:
        """Sample a point, and return by how much each origin's cost exceeds the interpolant so far."""
        costs = self._samples(self._point(index))
        earlier = [(i, self._surpluses[i]) for i in self._surpluses if _is_below(i, index)]
        result = {}
        for origin in self._samples.origins:
            axes = self._axes(origin)
            if any(i >= len(axis) for i, axis in zip(index, axes, strict=True)):
                continue  # this origin has no such basis function; if that is wrong, the verification fails
            predicted = sum((s[origin] * _value(axes, i, index) for i, s in earlier if origin in s), Fraction(0))
            if surplus := costs.get(origin, 0) - predicted:
                result[origin] = surplus
        return result

    def _function(self, origin: Origin, index: Index) -> Polynomial:
        result: Polynomial = {ONE: Fraction(1)}
        for i, axis in zip(index, self._axes(origin), strict=True):
            result = multiply(result, axis.functions[i])
        return result

    def _axes(self, origin: Origin) -> list[HierarchicalBasis]:
        return [self._basis(axis, self._bases[name].get(origin, (ONE,))) for axis, name in enumerate(self._names)]

    def _basis(self, axis: int, monomials: tuple[Monomial, ...]) -> HierarchicalBasis:
        key = axis, monomials
        if key not in self._cache:
            name = self._names[axis]
            self._cache[key] = HierarchicalBasis.of(name, monomials, self._nodes[name])
        return self._cache[key]

    def _is_next(self, index: Index) -> bool:
        """Return whether every direct predecessor of a point has a nonzero surplus."""
        return all(_shift(index, axis, -1) in self._surpluses for axis, i in enumerate(index) if i)

    def _point(self, index: Index) -> Point:
        return {name: self._nodes[name][i] for name, i in zip(self._names, index, strict=True)}


def _value(axes: list[HierarchicalBasis], function: Index, at: Index) -> Fraction:
    """Return the value of a basis function at a point of the grid."""
    return prod((axis.values[i][j] for axis, i, j in zip(axes, function, at, strict=True)), start=Fraction(1))


def _is_below(index: Index, other: Index) -> bool:
    return all(i <= j for i, j in zip(index, other, strict=True))


def _shift(index: Index, axis: int, by: int) -> Index:
    return (*index[:axis], index[axis] + by, *index[axis + 1 :])
