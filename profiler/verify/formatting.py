"""Format expressions and quantities for people."""

from __future__ import annotations

import re
from fractions import Fraction

import sympy

from profiler import units
from profiler.expressions import dimension

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def format_expression(expression: sympy.Expr) -> str:
    """Format an expression with ``·`` and superscripts, its terms in the order of sympy.

    Example:
        >>> B, E = sympy.symbols("B E")
        >>> format_expression(4 * E * B**2 + E)
        '4·B²·E + E'
    """
    text = re.sub(r"\*\*(-?\d+)", lambda match: match[1].translate(_SUPERSCRIPTS), str(expression))
    return text.replace("*", "·").replace(" - ", " − ")


def format_quantity(quantity: sympy.Expr) -> str:
    """Format a quantity with four digits, a prefix and its unit; small integers in full.

    Example:
        >>> from profiler.expressions import parse_quantity
        >>> format_quantity(parse_quantity("35128.2 MFLOP")), format_quantity(parse_quantity("0.94"))
        ('35.13 GFLOP', '0.94')
    """
    unit = dimension(quantity)
    value = sympy.nsimplify(quantity / unit)
    number = Fraction(int(value.p), int(value.q)) if isinstance(value, sympy.Rational) else Fraction(float(value))
    sign, size, name = "−" if number < 0 else "", abs(number), format_expression(unit) if unit != 1 else ""
    if size == int(size):
        return sign + (units.count(int(size), name) if name or size >= 10**4 else f"{int(size):,}")
    if size >= 1000:  # noqa: PLR2004 - prefixes begin here
        return sign + units.count(round(size), name)
    return sign + units.with_unit(f"{float(size):.4g}", name)
