"""Fit an origin's cost along a line, on which one variable changes: exactly, or not at all."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import combinations, combinations_with_replacement, pairwise
from typing import TYPE_CHECKING

from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from profiler.derive.polynomials import ONE, Monomial, evaluate_monomial, multiply_monomials, power
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Points that a fit must match beyond those that determine its coefficients.
SPARE = 2
DEGREE = 6
_STEPS_DEGREE, _STEPS_TOGETHER, _MOST_STEPS = 4, 3, 12


def fit(line: Mapping[int, int], steps: Sequence[CeilStep]) -> tuple[Monomial, ...] | None:
    """Find monomials with a linear combination that matches every value on a line.

    The candidates are powers of the variable, then powers of a single step, then products of several steps.

    Args:
        line: The cost by size.
        steps: The steps that may occur; the first is the variable itself.

    Returns:
        The monomials with a nonzero coefficient, after the constant, which is always the first; None if no candidate
        fits.
    """
    spare = min(SPARE, max(len(line) - 2, 0))  # a range of two or three sizes has no more points to spare
    for monomials in _candidates((steps[0], *(step for step in steps[1:] if _may_occur(step, line)))):
        needed = len(monomials) + spare
        if needed > len(line) or solve(monomials, dict(list(line.items())[:needed])) is None:
            continue
        used = _shortest(monomials, line)
        if used is not None:
            return (ONE, *(m for m in used if m != ONE))
    return None


def _shortest(monomials: tuple[Monomial, ...], line: Mapping[int, int]) -> list[Monomial] | None:
    """Return the monomials of the combination with the fewest terms, preferably with integer coefficients.

    Steps of one variable depend on each other, as in (2t - n)² = 2t - n for t = ceil(n/2), so a cost may have several
    expressions. `solve` prefers the first monomials, so two orders are tried.
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
    """Return the coefficients of the linear combination of monomials with these values; None if there is none.

    Where several combinations match, the last monomials get the coefficient 0.
    """
    (variable,) = {step.variable for m in monomials for step, _ in m} or {""}
    rows = [[QQ(evaluate_monomial(m, {variable: size})) for m in monomials] + [QQ(cost)] for size, cost in line.items()]
    reduced, pivots = DomainMatrix(rows, (len(rows), len(monomials) + 1), QQ).rref()
    if len(monomials) in pivots:  # a pivot in the column of the costs: the system has no solution
        return None
    result = [Fraction(0)] * len(monomials)
    for row, column in enumerate(pivots):
        entry = reduced[row, len(monomials)].element
        result[column] = Fraction(int(entry.numerator), int(entry.denominator))
    return result


def _may_occur(step: CeilStep, line: Mapping[int, int]) -> bool:
    """Return whether the cost changes wherever the step does."""
    ordered = sorted(line)
    return not any(line[a] == line[b] and step.at(a) != step.at(b) for a, b in pairwise(ordered))


@cache
def _candidates(steps: tuple[CeilStep, ...]) -> list[tuple[Monomial, ...]]:
    """List the sets of monomials to try, the simplest first."""
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
    """Yield the products of steps up to a degree, in ascending order of degree."""
    for n in range(degree + 1):
        for chosen in combinations_with_replacement(steps, n):
            yield multiply_monomials(*(power(step, 1) for step in chosen))
