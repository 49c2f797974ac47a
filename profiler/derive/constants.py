"""Write constants in letters whose values are given: with E = 768, 3541248 is ``6·E² + 3·E``.

Every such spelling is an identity at those values. Whether the model means that by it is for its configuration to show:
vary the size, and the letter is proven.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement
from math import log2
from typing import TYPE_CHECKING

from profiler.derive.polynomials import ONE, Monomial, Polynomial, power, product, scaled, times, total, value_of
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEGREE = 3
#: What a term costs a reader beyond its number, and what a spelling has to save; in bits.
_TERM, _MARGIN = 2, 3
#: Every number is some sum of letters. One is taken only if its coefficients are this much smaller than the letters.
_SMALL = 8


def express_in(polynomial: Polynomial, letters: Mapping[str, int]) -> Polynomial:
    """Write the coefficients of a polynomial in letters where that is shorter.

    Example:
        >>> spelled = express_in({ONE: Fraction(3541248)}, {"E": 768})
        >>> spelled[power(CeilStep("E"), 2)], spelled[power(CeilStep("E"), 1)]
        (Fraction(6, 1), Fraction(3, 1))
    """
    if not letters:
        return polynomial
    return total(product({monomial: Fraction(1)}, _spell(c, letters)) for monomial, c in polynomial.items())


def _spell(coefficient: Fraction, letters: Mapping[str, int]) -> Polynomial:
    number = coefficient.numerator
    plain: Polynomial = {ONE: Fraction(number)}
    small = min(letters.values()) / _SMALL
    found = [s for s in _spellings(number, letters) if len(s) == 1 or max(map(abs, s.values())) <= small]
    best = min(found, key=_length)
    chosen = best if _length(best) + _MARGIN < _length(plain) else plain
    return scaled(chosen, Fraction(1, coefficient.denominator))


def _spellings(number: int, letters: Mapping[str, int]) -> Iterator[Polynomial]:
    """Give the number as one product, and as the digits of a number with a letter for its base."""
    for count in range(_DEGREE + 1):
        for chosen in combinations_with_replacement(sorted(letters), count):
            factor: Monomial = times(*(power(CeilStep(letter), 1) for letter in chosen))
            value = value_of(factor, letters)
            if number % value:
                continue
            yield {factor: Fraction(number // value)}
            for letter in letters:
                digits = _digits(number // value, letters[letter])
                yield {times(factor, power(CeilStep(letter), n)): Fraction(d) for n, d in digits.items()}


def _digits(number: int, base: int) -> dict[int, int]:
    """Give the digits in a base, by their places."""
    sign, rest, format_point = (-1 if number < 0 else 1), abs(number), 0
    digits = {}
    while rest and format_point <= _DEGREE and base > 1:
        rest, digit = divmod(rest, base) if format_point < _DEGREE else (0, rest)
        if digit:
            digits[format_point] = sign * digit
        format_point += 1
    return digits or {0: number}


def _length(polynomial: Polynomial) -> float:
    return sum(_TERM + log2(1 + abs(c)) for c in polynomial.values())
