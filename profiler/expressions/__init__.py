"""The language of formulas: numbers, names, ``+ - * / **``, parentheses, ``sum``, ``min``, ``max`` and ``ceil``.

    parse("24*B*S*E**2 + 4*B*S**2*E")        a sympy expression in B, E and S, with exact rational numbers
    read_quantity("67 GB/s")                 a number and its unit, of which the unit is an expression too

A text is read, never run: whatever is not in the language is refused with its column.
"""

from profiler.expressions.parser import NAMES, parse
from profiler.expressions.units import check_kind, kind, number_in, parse_unit, read_quantity, to_fraction
from profiler.expressions.values import put

__all__ = ["NAMES", "check_kind", "kind", "number_in", "parse", "parse_unit", "put", "read_quantity", "to_fraction"]
