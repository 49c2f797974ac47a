"""Units of documents: names in the language of formulas, so that a quantity is a number times names.

read_quantity("67 GB/s")          67·10⁹·byte/s
number_in(quantity, "TOPS")       its number in a unit; refused where the unit does not fit
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

import sympy

from profiler.errors import ExpressionError
from profiler.expressions.parser import parse

#: Each is of its own kind: a MAC is no FLOP. An operation is a FLOP, or what takes its place in integers.
_BASE = ("MAC", "FLOP", "byte", "s", "parameter", "token", "frame", "patch", "layer", "product", "element")
_SAME = {
    "op": "FLOP", "B": "byte", "FLOPS": "FLOP/s", "OPS": "FLOP/s", "MACS": "MAC/s", "Hz": "1/s",
    "minute": "60*s", "hour": "3600*s", "day": "86400*s", "percent": "1/100", "ratio": "1",
}  # fmt: skip
_PREFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_PREFIXED = ("MAC", "FLOP", "op", "byte", "B", "FLOPS", "OPS", "MACS", "parameter", "element")
_QUANTITY = re.compile(r"\s*(?P<number>[-+]?[\d._]+(?:[eE][-+]?\d+)?)\s*(?P<unit>.*?)\s*")


@cache
def parse_unit(text: str) -> sympy.Expr:
    """Read a unit, such as ``GFLOP``, ``GB/s`` or ``FLOP/byte``; an empty text is a plain number.

    Raises:
        ExpressionError: It is no product of powers of known units.

    Example:
        >>> parse_unit("TOPS")
        1000000000000*FLOP/s
    """
    units = _units()
    found = parse(text or "1", units)
    unit = found.subs({symbol: units[symbol.name] for symbol in found.free_symbols}, simultaneous=True)
    if isinstance(unit, sympy.Add) or (not unit.is_number and not all(map(_is_power, sympy.Mul.make_args(unit)))):
        msg = f"{text!r} is no unit; write a product of units, as in GFLOP, GB/s or FLOP/byte"
        raise ExpressionError(msg, 1)
    return unit


def parse_quantity(text: str) -> sympy.Expr:
    """Read a number with its unit, such as ``67 GB/s``.

    Raises:
        ExpressionError: The number or the unit cannot be read.

    Example:
        >>> parse_quantity("5e9 op / frame")
        5000000000*FLOP/frame
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        msg = f"cannot read {text!r}; write a number and its unit, as in 67 GB/s"
        raise ExpressionError(msg, 1)
    return parse(match["number"], ()) * parse_unit(match["unit"])


def base_magnitude(quantity: sympy.Expr, unit: str) -> Fraction:
    """Give a quantity's number in base units of the same kind as *unit*.

    Raises:
        ExpressionError: The quantity is of another kind.

    Example:
        >>> base_magnitude(parse_quantity("2 GB/s") * parse_quantity("3 s"), "byte")
        Fraction(6000000000, 1)
    """
    base = check_dimension(quantity, unit)
    return to_fraction(quantity / base)


def to_fraction(number: sympy.Expr) -> Fraction:
    """Give the exact value of a number.

    Example:
        >>> to_fraction(parse("7/3 + 1"))
        Fraction(10, 3)
    """
    exact = number if isinstance(number, sympy.Rational) else sympy.nsimplify(number)
    return Fraction(int(exact.p), int(exact.q))


def check_dimension(quantity: sympy.Expr, unit: str) -> sympy.Expr:
    """Refuse a quantity that is not of the kind of a unit, and give the base units of both; zero is of every kind.

    Raises:
        ExpressionError: It is of another kind.
    """
    found, base = dimension(quantity), dimension(parse_unit(unit))
    if quantity != 0 and found != base:
        msg = f"the unit does not fit: {found if found != 1 else 'a plain number'} is not {base}"
        raise ExpressionError(msg, 1)
    return base


def dimension(quantity: sympy.Expr) -> sympy.Expr:
    """Leave of a quantity its base units alone; what it has of variables counts as a number.

    Example:
        >>> dimension(parse("8*B*S") * parse_quantity("3 GB/s"))
        byte/s
    """
    _, rest = quantity.as_coeff_Mul()
    return _kind(rest)


@cache
def _kind(quantity: sympy.Expr) -> sympy.Expr:
    variables = [symbol for symbol in quantity.free_symbols if symbol.is_integer]
    number = quantity.subs({symbol: sympy.prime(100 + i) for i, symbol in enumerate(variables)})
    return sympy.Mul(*(factor for factor in sympy.Mul.make_args(sympy.factor(number)) if not factor.is_number))


@cache
def _units() -> dict[str, sympy.Expr]:
    found: dict[str, sympy.Expr] = {name: sympy.Symbol(name, positive=True) for name in _BASE}
    for name, text in _SAME.items():
        expression = parse(text)
        found[name] = expression.subs({symbol: found[symbol.name] for symbol in expression.free_symbols})
    for name in _PREFIXED:
        found |= {prefix + name: factor * found[name] for prefix, factor in _PREFIXES.items()}
    found |= {prefix + name: factor * found["byte"] for name in ("B", "byte") for prefix, factor in _BINARY.items()}
    return found


def _is_power(factor: sympy.Expr) -> bool:
    base, exponent = factor.as_base_exp()
    return bool(factor.is_number or (base.is_Symbol and exponent.is_Integer))
