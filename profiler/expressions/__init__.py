"""The language of formulas: numbers, names, ``+ - * / **``, parentheses, ``sum``, ``min``, ``max`` and ``ceil``.

    parse("24*B*S*E**2 + 4*B*S**2*E")        a sympy expression in B, E and S, with exact rational numbers
    parse_quantity("67 GB/s")                 a number and its unit, of which the unit is an expression too

A text is read, never run: whatever is not in the language is refused with its column.
"""

from profiler.expressions.parser import NAMES, parse
from profiler.expressions.substitution import substitute
from profiler.expressions.unit_parser import (
    base_magnitude,
    check_dimension,
    dimension,
    parse_quantity,
    parse_unit,
    to_fraction,
)

__all__ = [
    "NAMES",
    "base_magnitude",
    "check_dimension",
    "dimension",
    "parse",
    "parse_quantity",
    "parse_unit",
    "substitute",
    "to_fraction",
]
