"""Exact polynomials in variables and their steps: sparse, with rational coefficients."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A product of powers, in the order of the steps: ``((CeilStep("batch"), 1), (CeilStep("sequence"), 2))``.
Monomial = tuple[tuple[CeilStep, int], ...]
#: Coefficients by monomial; none is zero.
Polynomial = dict[Monomial, Fraction]
ONE: Monomial = ()


def times(*factors: Monomial) -> Monomial:
    """Multiply monomials."""
    powers: dict[CeilStep, int] = defaultdict(int)
    for factor in factors:
        for step, power in factor:
            powers[step] += power
    return tuple(sorted(powers.items()))


def power(step: CeilStep, exponent: int) -> Monomial:
    """Raise a step to a power."""
    return ((step, exponent),) if exponent else ONE


def total(polynomials: Iterable[Polynomial]) -> Polynomial:
    """Sum polynomials; what cancels is gone."""
    result: Polynomial = defaultdict(Fraction)
    for polynomial in polynomials:
        for monomial, coefficient in polynomial.items():
            result[monomial] += coefficient
    return {monomial: coefficient for monomial, coefficient in result.items() if coefficient}


def scaled(polynomial: Polynomial, factor: Fraction | int) -> Polynomial:
    """Multiply by a number."""
    return {monomial: coefficient * factor for monomial, coefficient in polynomial.items() if factor}


def product(left: Polynomial, right: Polynomial) -> Polynomial:
    """Multiply two polynomials."""
    return total({times(a, b): c * d} for a, c in left.items() for b, d in right.items())


def value_of(monomial: Monomial, point: Mapping[str, int]) -> int:
    """Give the value of a product of powers."""
    return prod(step.at(point[step.variable]) ** exponent for step, exponent in monomial)


def evaluate(polynomial: Polynomial, point: Mapping[str, int]) -> Fraction:
    """Give the value of a polynomial, exactly."""
    return sum((c * value_of(m, point) for m, c in polynomial.items()), Fraction(0))


def degree(polynomial: Polynomial, variable: str) -> int:
    """Give the highest power of a variable and its steps together; 0 where it is not in it."""
    return max((sum(n for step, n in m if step.variable == variable) for m in polynomial), default=0)


def substitute(polynomial: Polynomial, point: Mapping[str, int]) -> Polynomial:
    """Put numbers for the variables that have one."""
    result = []
    for monomial, coefficient in polynomial.items():
        known = tuple((step, n) for step, n in monomial if step.variable in point)
        left = tuple((step, n) for step, n in monomial if step.variable not in point)
        result.append({left: coefficient * value_of(known, point)})
    return total(result)
