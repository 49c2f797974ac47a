"""The formula language: numbers, names, ``+ - * / **``, parentheses, ``sum``, ``min``, ``max`` and ``ceil``.

    parse("24*B*S*E**2 + 4*B*S**2*E")        a sympy expression in B, E and S, with exact rational numbers
    parse_quantity("67 GB/s")                a number times its unit, as a sympy expression

A formula is parsed and never executed. Anything that is not part of the language is an error that names the column.
"""

from profiler.expressions.parser import parse
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
    "base_magnitude",
    "check_dimension",
    "dimension",
    "parse",
    "parse_quantity",
    "parse_unit",
    "substitute",
    "to_fraction",
]
