"""Fit one origin's cost along a line, in which one variable changes: exactly, or not at all."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import combinations, combinations_with_replacement, pairwise
from typing import TYPE_CHECKING

from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from profiler.derive.polynomials import ONE, Monomial, power, times, value_of
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Points that have to lie on a curve beyond those that determine it.
SPARE = 2
DEGREE = 6
_STEPS_DEGREE, _STEPS_TOGETHER, _MOST_STEPS = 4, 3, 12


def fit(line: Mapping[int, int], steps: Sequence[CeilStep]) -> tuple[Monomial, ...] | None:
    """Find the monomials whose combination gives every value on a line.

    Tried are the powers of the variable, then those of each step, then those of several together. The constant is
    always among them.

    Args:
        line: The costs by size.
        steps: The steps that may be in it; the first is the variable itself.
    """
    spare = min(SPARE, max(len(line) - 2, 0))  # of two or three sizes, all are measured
    for monomials in _spaces((steps[0], *(step for step in steps[1:] if _may_hold(step, line)))):
        enough = len(monomials) + spare
        if enough > len(line) or solve(monomials, dict(list(line.items())[:enough])) is None:
            continue
        found = _plainest(monomials, line)
        if found is not None:
            return (ONE, *(m for m in found if m != ONE))
    return None


def _plainest(monomials: tuple[Monomial, ...], line: Mapping[int, int]) -> list[Monomial] | None:
    """List the monomials of the shortest combination, with whole coefficients if possible.

    Steps of one variable depend on each other, as in (2t - n)² = 2t - n for t = ceil(n/2), so a cost may be written in
    several ways. The first monomials are preferred, so two orders are tried.
    """
    pure_first = sorted(monomials, key=lambda m: (len(m), -sum(n for _, n in m)))
    best: tuple[tuple[int, bool], list[Monomial]] | None = None
    for order in (monomials, pure_first):
        coefficients = solve(order, line)
        if coefficients is None:
            return None
        used = [m for m, c in zip(order, coefficients, strict=True) if c]
        rank = (len(used), any(c.denominator != 1 for c in coefficients))
        if best is None or rank < best[0]:
            best = rank, used
    return best[1] if best else None


def solve(monomials: Sequence[Monomial], line: Mapping[int, int]) -> list[Fraction] | None:
    """Give the coefficients of the combination of monomials that has these values; None where there is none."""
    (variable,) = {step.variable for m in monomials for step, _ in m} or {""}
    rows = [[QQ(value_of(m, {variable: size})) for m in monomials] + [QQ(cost)] for size, cost in line.items()]
    reduced, pivots = DomainMatrix(rows, (len(rows), len(monomials) + 1), QQ).rref()
    if len(monomials) in pivots:  # the costs are no combination
        return None
    result = [Fraction(0)] * len(monomials)
    for row, column in enumerate(pivots):
        entry = reduced[row, len(monomials)].element
        result[column] = Fraction(int(entry.numerator), int(entry.denominator))
    return result


def _may_hold(step: CeilStep, line: Mapping[int, int]) -> bool:
    """Say whether the cost changes wherever the step does."""
    ordered = sorted(line)
    return not any(line[a] == line[b] and step.at(a) != step.at(b) for a, b in pairwise(ordered))


@cache
def _spaces(steps: tuple[CeilStep, ...]) -> list[tuple[Monomial, ...]]:
    """List the spaces to look in, the plainest first."""
    return list(_generate(steps))


def _generate(steps: tuple[CeilStep, ...]) -> Iterator[tuple[Monomial, ...]]:
    yield (ONE,)
    for degree in range(1, DEGREE + 1):
        yield tuple(power(steps[0], n) for n in range(degree + 1))
    for step in steps[1:]:
        for degree in range(1, _STEPS_DEGREE + 1):
            yield tuple(power(step, n) for n in range(degree + 1))
    for count in range(2, _STEPS_TOGETHER + 1):
        for degree in (1, 2, 3) if count == 2 else (1, 2):  # noqa: PLR2004 - a pair
            for chosen in combinations(steps[:_MOST_STEPS], count):
                yield tuple(_products(chosen, degree))


def _products(steps: Sequence[CeilStep], degree: int) -> Iterator[Monomial]:
    """List the products of steps up to a degree, the lowest first."""
    for n in range(degree + 1):
        for chosen in combinations_with_replacement(steps, n):
            yield times(*(power(step, 1) for step in chosen))
