"""The value of a formula at some place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from profiler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def substitute(formula: sympy.Expr, values: Mapping[str, sympy.Expr | int]) -> sympy.Expr:
    """Put values in the places of names, all at once: a value may hold the names of others.

    Example:
        >>> from profiler.expressions import parse
        >>> substitute(parse("4*E**2 + S"), {"E": 10})
        S + 400

    Raises:
        InputError: The formula divides by zero there.
    """
    places = {symbol: values[symbol.name] for symbol in formula.free_symbols if symbol.name in values}
    try:
        value = formula.subs(places, simultaneous=True)
    except ValueError as error:  # the larger of something and infinity
        raise InputError(_nowhere(formula, places)) from error
    if value.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        raise InputError(_nowhere(formula, places))
    return value


def _nowhere(formula: sympy.Expr, places: Mapping[sympy.Symbol, object]) -> str:
    place = ", ".join(f"{symbol.name}={value}" for symbol, value in sorted(places.items(), key=str))
    return f"the formula {formula} divides by zero at {place}; give other values"
