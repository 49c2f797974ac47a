"""Interpolate many costs in many variables at once, exactly, from as few points as their mixed terms need.

Each variable has its nodes, and a point of the grid is a tuple of their numbers. A cost is written in a hierarchical
basis: the function of the point ``(i, j)`` is zero at every node before i and before j, so that its coefficient is the
cost there less what the coefficients before it give. A point is measured when those just before it, in each direction,
all have a coefficient that is not zero; so the mixed terms that a model does not have cost one point each to rule out.

Source: T. Gerstner and M. Griebel, Dimension-Adaptive Tensor-Product Quadrature, Computing 71 (2003), section 3, for
the admissible sets; the coefficients are Newton's divided differences.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from profiler.derive.hierarchical_basis import Hierarchy
from profiler.derive.polynomials import ONE, Monomial, Polynomial, product, scaled, total

if TYPE_CHECKING:
    from profiler.derive.samples import Origin, Samples
    from profiler.derive.univariate import Bases
    from profiler.derive.variables import Point

Index = tuple[int, ...]


def interpolate(samples: Samples, nodes: dict[str, list[int]], found: dict[str, Bases]) -> dict[Origin, Polynomial]:
    """Give every origin's polynomial.

    Args:
        samples: Measures.
        nodes: The sizes of each variable, in the order in which they are used.
        found: Of which monomials of each variable an origin's cost is made.
    """
    grid = _Grid(samples, nodes, found)
    grid.grow()
    return grid.polynomials()


class _Grid:
    """The points measured, and the coefficients found there."""

    def __init__(self, samples: Samples, nodes: dict[str, list[int]], found: dict[str, Bases]) -> None:
        self._samples, self._nodes, self._found = samples, nodes, found
        self._names = list(nodes)
        self._coefficients: dict[Index, dict[Origin, Fraction]] = {}
        self._hierarchies: dict[tuple[int, tuple[Monomial, ...]], Hierarchy] = {}

    def grow(self) -> None:
        """Measure from the first node on, as far as there are terms."""
        start = (0,) * len(self._names)
        waiting, seen = deque([start]), {start}
        while waiting:
            index = waiting.popleft()
            found = self._measure(index)
            if not found and any(index):
                continue
            self._coefficients[index] = found
            for axis in range(len(index)):
                after = _moved(index, axis, 1)
                if after not in seen and after[axis] < len(self._nodes[self._names[axis]]) and self._is_next(after):
                    seen.add(after)
                    waiting.append(after)

    def polynomials(self) -> dict[Origin, Polynomial]:
        """Sum the basis functions of every origin."""
        parts: dict[Origin, list[Polynomial]] = {}
        for index, found in self._coefficients.items():
            for origin, coefficient in found.items():
                parts.setdefault(origin, []).append(scaled(self._function(origin, index), coefficient))
        sums = {origin: total(terms) for origin, terms in parts.items()}
        return {origin: polynomial for origin, polynomial in sums.items() if polynomial}

    def _measure(self, index: Index) -> dict[Origin, Fraction]:
        """Give what each origin costs at a point beyond what the coefficients before it say."""
        costs = self._samples(self._point(index))
        before = [(i, self._coefficients[i]) for i in self._coefficients if _is_below(i, index)]
        result = {}
        for origin in self._samples.origins:
            axes = self._axes(origin)
            if any(i >= len(axis) for i, axis in zip(index, axes, strict=True)):
                continue  # it has no such function; if it has such a cost, no verification will hold
            said = sum((found[origin] * _value(axes, i, index) for i, found in before if origin in found), Fraction(0))
            if rest := costs.get(origin, 0) - said:
                result[origin] = rest
        return result

    def _function(self, origin: Origin, index: Index) -> Polynomial:
        result: Polynomial = {ONE: Fraction(1)}
        for i, axis in zip(index, self._axes(origin), strict=True):
            result = product(result, axis.functions[i])
        return result

    def _axes(self, origin: Origin) -> list[Hierarchy]:
        return [self._hierarchy(axis, self._found[name].get(origin, (ONE,))) for axis, name in enumerate(self._names)]

    def _hierarchy(self, axis: int, basis: tuple[Monomial, ...]) -> Hierarchy:
        key = axis, basis
        if key not in self._hierarchies:
            name = self._names[axis]
            self._hierarchies[key] = Hierarchy.of(name, basis, self._nodes[name])
        return self._hierarchies[key]

    def _is_next(self, index: Index) -> bool:
        """Say whether every point just before this one has a coefficient."""
        return all(_moved(index, axis, -1) in self._coefficients for axis, i in enumerate(index) if i)

    def _point(self, index: Index) -> Point:
        return {name: self._nodes[name][i] for name, i in zip(self._names, index, strict=True)}


def _value(axes: list[Hierarchy], function: Index, at: Index) -> Fraction:
    """Give the value of a basis function at a point of the grid."""
    return prod((axis.values[i][j] for axis, i, j in zip(axes, function, at, strict=True)), start=Fraction(1))


def _is_below(index: Index, other: Index) -> bool:
    return all(i <= j for i, j in zip(index, other, strict=True))


def _moved(index: Index, axis: int, by: int) -> Index:
    return (*index[:axis], index[axis] + by, *index[axis + 1 :])
