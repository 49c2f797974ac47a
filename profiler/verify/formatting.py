"""Expressions and quantities in a reader's words."""

from __future__ import annotations

import re
from fractions import Fraction

import sympy

from profiler import units
from profiler.expressions import dimension

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def format_expression(expression: sympy.Expr) -> str:
    """Write an expression without stars, its terms as sympy orders them.

    Example:
        >>> B, E = sympy.symbols("B E")
        >>> format_expression(4 * E * B**2 + E)
        '4·B²·E + E'
    """
    text = re.sub(r"\*\*(-?\d+)", lambda match: match[1].translate(_RAISED), str(expression))
    return text.replace("*", "·").replace(" - ", " − ")


def format_quantity(quantity: sympy.Expr) -> str:
    """Write a quantity with four digits and its unit.

    Example:
        >>> from profiler.expressions import parse_quantity
        >>> format_quantity(parse_quantity("35128.2 MFLOP"))
        '35.13 GFLOP'
    """
    unit = dimension(quantity)
    value = sympy.nsimplify(quantity / unit)
    name = format_expression(unit) if unit != 1 else ""
    number = Fraction(int(value.p), int(value.q)) if isinstance(value, sympy.Rational) else Fraction(float(value))
    return amount(number, name)


def amount(value: Fraction | float, unit: str = "") -> str:
    """Write an amount with four digits, a prefix and its unit; plain small numbers as they are.

    Example:
        >>> amount(Fraction(-6144), "parameter"), amount(0.94, "")
        ('−6.144 k parameters', '0.94')
    """
    sign = "−" if value < 0 else ""
    size = abs(Fraction(value))
    if size == int(size):
        return sign + (units.count(int(size), unit) if unit or size >= 10**4 else f"{int(size):,}")
    if size >= 1000:  # noqa: PLR2004 - from here on there are prefixes
        return sign + units.count(round(size), unit)
    return f"{sign}{float(size):.4g} {unit}".rstrip()
