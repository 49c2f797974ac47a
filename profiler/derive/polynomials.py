"""Exact arithmetic on sparse polynomials in variables and their ceil-steps, with rational coefficients."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A product of powers, sorted by step: ``((CeilStep("batch"), 1), (CeilStep("sequence"), 2))``.
Monomial = tuple[tuple[CeilStep, int], ...]
#: Coefficients by monomial; none of them is zero.
Polynomial = dict[Monomial, Fraction]
ONE: Monomial = ()


def multiply_monomials(*factors: Monomial) -> Monomial:
    """Return the product of monomials."""
    powers: dict[CeilStep, int] = defaultdict(int)
    for factor in factors:
        for step, exponent in factor:
            powers[step] += exponent
    return tuple(sorted(powers.items()))


def power(step: CeilStep, exponent: int) -> Monomial:
    """Return a power of a step as a monomial."""
    return ((step, exponent),) if exponent else ONE


def add(polynomials: Iterable[Polynomial]) -> Polynomial:
    """Return the sum of polynomials, without the terms that cancel."""
    result: Polynomial = defaultdict(Fraction)
    for polynomial in polynomials:
        for monomial, coefficient in polynomial.items():
            result[monomial] += coefficient
    return {monomial: coefficient for monomial, coefficient in result.items() if coefficient}


def scale(polynomial: Polynomial, factor: Fraction | int) -> Polynomial:
    """Return the polynomial times a number."""
    return {monomial: coefficient * factor for monomial, coefficient in polynomial.items() if factor}


def multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    """Return the product of two polynomials."""
    return add({multiply_monomials(a, b): c * d} for a, c in left.items() for b, d in right.items())


def evaluate_monomial(monomial: Monomial, point: Mapping[str, int]) -> int:
    """Return the value of a monomial at a point."""
    return prod(step.at(point[step.variable]) ** exponent for step, exponent in monomial)


def evaluate(polynomial: Polynomial, point: Mapping[str, int]) -> Fraction:
    """Return the exact value of a polynomial at a point."""
    return sum((c * evaluate_monomial(m, point) for m, c in polynomial.items()), Fraction(0))


def evaluate_partially(polynomial: Polynomial, point: Mapping[str, int]) -> Polynomial:
    """Insert the values in *point*; variables that it lacks stay."""
    terms = []
    for monomial, coefficient in polynomial.items():
        fixed = tuple((step, n) for step, n in monomial if step.variable in point)
        free = tuple((step, n) for step, n in monomial if step.variable not in point)
        terms.append({free: coefficient * evaluate_monomial(fixed, point)})
    return add(terms)


def exponent_of(monomial: Monomial, variable: str) -> int:
    """Return the exponent of a variable in a monomial; its steps count as the variable does."""
    return sum(exponent for step, exponent in monomial if step.variable == variable)


def degree(polynomial: Polynomial, variable: str) -> int:
    """Return the highest exponent of a variable in a polynomial; 0 if the variable does not occur."""
    return max((exponent_of(monomial, variable) for monomial in polynomial), default=0)
