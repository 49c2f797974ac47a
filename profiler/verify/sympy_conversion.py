"""Convert numbers and polynomials to exact sympy expressions."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import sympy

if TYPE_CHECKING:
    from profiler.derive.polynomials import Polynomial


def to_sympy(polynomial: Polynomial) -> sympy.Expr:
    """Convert a polynomial to an expression in the names of its variables."""
    total = sympy.Integer(0)
    for monomial, coefficient in polynomial.items():
        term = to_rational(coefficient)
        for step, power in monomial:
            name = sympy.Symbol(step.variable, positive=True, integer=True)
            base = name if step.is_plain else sympy.ceiling((name + step.offset) / sympy.Integer(step.size))
            term *= base**power
        total += term
    return total


def to_rational(value: Fraction | float) -> sympy.Expr:
    """Convert a number to an exact rational."""
    fraction = Fraction(value)
    return sympy.Rational(fraction.numerator, fraction.denominator)
