"""Parse units and quantities. A unit is a product of symbols, so that a quantity is a number times symbols.

parse_quantity("67 GB/s")          67·10⁹·byte/s
base_magnitude(quantity, "TOPS")   its number in FLOP/s; an error if the units are incompatible
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

import sympy

from profiler.errors import ExpressionError
from profiler.expressions.parser import parse

#: Base units, each with a dimension of its own: a MAC is not a FLOP. An "op" is a FLOP or its integer counterpart.
_BASE = ("MAC", "FLOP", "byte", "s", "parameter", "token", "frame", "patch", "layer", "product", "element")
_DERIVED = {
    "op": "FLOP", "B": "byte", "FLOPS": "FLOP/s", "OPS": "FLOP/s", "MACS": "MAC/s", "Hz": "1/s",
    "minute": "60*s", "hour": "3600*s", "day": "86400*s", "percent": "1/100", "ratio": "1",
}  # fmt: skip
_PREFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY_PREFIXES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_PREFIXED = ("MAC", "FLOP", "op", "byte", "B", "FLOPS", "OPS", "MACS", "parameter", "element")
_QUANTITY = re.compile(r"\s*(?P<number>[-+]?[\d._]+(?:[eE][-+]?\d+)?)\s*(?P<unit>.*?)\s*")


@cache
def parse_unit(text: str) -> sympy.Expr:
    """Parse a unit, such as ``GFLOP``, ``GB/s`` or ``FLOP/byte``; an empty text is dimensionless.

    Returns:
        The unit in base units, with its numeric factor.

    Raises:
        ExpressionError: The text is not a product of powers of known units.

    Example:
        >>> parse_unit("TOPS")
        1000000000000*FLOP/s
    """
    units = _units()
    expression = parse(text or "1", units)
    unit = expression.subs({symbol: units[symbol.name] for symbol in expression.free_symbols}, simultaneous=True)
    if isinstance(unit, sympy.Add) or (not unit.is_number and not all(map(_is_power, sympy.Mul.make_args(unit)))):
        msg = f"{text!r} is not a unit; write a product of units, as in GFLOP, GB/s or FLOP/byte"
        raise ExpressionError(msg, 1)
    return unit


def parse_quantity(text: str) -> sympy.Expr:
    """Parse a number with its unit, such as ``67 GB/s``.

    Raises:
        ExpressionError: The number or the unit cannot be parsed.

    Example:
        >>> parse_quantity("5e9 op / frame")
        5000000000*FLOP/frame
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        msg = f"cannot parse the quantity {text!r}; write a number and its unit, as in 67 GB/s"
        raise ExpressionError(msg, 1)
    return parse(match["number"], ()) * parse_unit(match["unit"])


def base_magnitude(quantity: sympy.Expr, unit: str) -> Fraction:
    """Return the number of a quantity in base units, such as bytes and seconds.

    Args:
        quantity: A number times units.
        unit: Any unit of the expected dimension; its prefix has no effect.

    Raises:
        ExpressionError: The quantity has another dimension than *unit*.

    Example:
        >>> base_magnitude(parse_quantity("2 GB/s") * parse_quantity("3 s"), "byte")
        Fraction(6000000000, 1)
    """
    return to_fraction(quantity / check_dimension(quantity, unit))


def to_fraction(number: sympy.Expr) -> Fraction:
    """Convert a sympy number to an exact fraction.

    Example:
        >>> to_fraction(parse("7/3 + 1"))
        Fraction(10, 3)
    """
    rational = number if isinstance(number, sympy.Rational) else sympy.nsimplify(number)
    return Fraction(int(rational.p), int(rational.q))


def check_dimension(quantity: sympy.Expr, unit: str) -> sympy.Expr:
    """Check that a quantity has the dimension of a unit, and return the base units of both.

    Zero has every dimension.

    Raises:
        ExpressionError: The dimensions differ.
    """
    actual, expected = dimension(quantity), dimension(parse_unit(unit))
    if quantity != 0 and actual != expected:
        msg = f"incompatible units: expected {_describe(expected)}, got {_describe(actual)}"
        raise ExpressionError(msg, 1)
    return expected


def dimension(quantity: sympy.Expr) -> sympy.Expr:
    """Return the base units of a quantity, without its number; the variables of a formula count as numbers.

    Example:
        >>> dimension(parse("8*B*S") * parse_quantity("3 GB/s"))
        byte/s
    """
    _, rest = quantity.as_coeff_Mul()
    return _dimension(rest)


@cache
def _dimension(quantity: sympy.Expr) -> sympy.Expr:
    variables = [symbol for symbol in quantity.free_symbols if symbol.is_integer]
    number = quantity.subs({symbol: sympy.prime(100 + i) for i, symbol in enumerate(variables)})
    return sympy.Mul(*(factor for factor in sympy.Mul.make_args(sympy.factor(number)) if not factor.is_number))


@cache
def _units() -> dict[str, sympy.Expr]:
    """Return every unit in base units, by name."""
    units: dict[str, sympy.Expr] = {name: sympy.Symbol(name, positive=True) for name in _BASE}
    for name, text in _DERIVED.items():
        expression = parse(text)
        units[name] = expression.subs({symbol: units[symbol.name] for symbol in expression.free_symbols})
    for name in _PREFIXED:
        units |= {prefix + name: factor * units[name] for prefix, factor in _PREFIXES.items()}
    for name in ("B", "byte"):
        units |= {prefix + name: factor * units["byte"] for prefix, factor in _BINARY_PREFIXES.items()}
    return units


def _is_power(factor: sympy.Expr) -> bool:
    base, exponent = factor.as_base_exp()
    return bool(factor.is_number or (base.is_Symbol and exponent.is_Integer))


def _describe(units: sympy.Expr) -> str:
    return "a plain number" if units == 1 else str(units)
