"""Substitute values for the names in a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from profiler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def substitute(formula: sympy.Expr, values: Mapping[str, sympy.Expr | int]) -> sympy.Expr:
    """Replace names in a formula by values, all at the same time; a value may contain other names.

    Args:
        formula: An expression, as `parse` returns it.
        values: Values by name. A name without a value stays.

    Raises:
        InputError: The formula divides by zero at these values.

    Example:
        >>> from profiler.expressions import parse
        >>> substitute(parse("4*E**2 + S"), {"E": 10})
        S + 400
    """
    by_symbol = {symbol: values[symbol.name] for symbol in formula.free_symbols if symbol.name in values}
    try:
        value = formula.subs(by_symbol, simultaneous=True)
    except ValueError as error:  # sympy cannot compare complex infinity in min and max
        raise InputError(_division_message(formula, by_symbol)) from error
    if value.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        raise InputError(_division_message(formula, by_symbol))
    return value


def _division_message(formula: sympy.Expr, values: Mapping[sympy.Symbol, object]) -> str:
    point = ", ".join(f"{symbol.name}={value}" for symbol, value in sorted(values.items(), key=str))
    return f"the formula {formula} divides by zero at {point}; use other values"
