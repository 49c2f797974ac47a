"""The language of formulas: numbers, names, ``+ - * / **``, parentheses, ``sum``, ``min``, ``max`` and ``ceil``.

    parse("24*B*S*E**2 + 4*B*S**2*E")        a sympy expression in B, E and S, with exact rational numbers

A text is read, never run: whatever is not in the language is refused with its column.
"""

from profiler.expressions.parser import NAMES, parse

__all__ = ["NAMES", "parse"]
