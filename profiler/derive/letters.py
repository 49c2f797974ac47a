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
from profiler.derive.variables import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEGREE = 3
#: What a term costs a reader, in bits beyond its number. A sum has to be half as long as the bare number, since many
#: numbers are sums by chance; a product, which few are, only shorter.
_TERM, _MARGIN = 2, 3


def spell(polynomial: Polynomial, letters: Mapping[str, int]) -> Polynomial:
    """Write the coefficients of a polynomial in letters where that is shorter.

    Example:
        >>> [(m, str(c)) for m, c in spell({ONE: Fraction(3541248)}, {"E": 768}).items()]
        [(((Step(variable='E', offset=0, size=1), 2),), '6'), (((Step(variable='E', offset=0, size=1), 1),), '3')]
    """
    if not letters:
        return polynomial
    return total(product({monomial: Fraction(1)}, _spell(c, letters)) for monomial, c in polynomial.items())


def _spell(coefficient: Fraction, letters: Mapping[str, int]) -> Polynomial:
    number = coefficient.numerator
    plain: Polynomial = {ONE: Fraction(number)}
    found = [s for s in _spellings(number, letters) if _length(s) < _length(plain) / 2 or _is_product(s, plain)]
    return scaled(min(found, key=_length, default=plain), Fraction(1, coefficient.denominator))


def _spellings(number: int, letters: Mapping[str, int]) -> Iterator[Polynomial]:
    """Give the number as one product, and as the digits of a number with a letter for its base."""
    for count in range(_DEGREE + 1):
        for chosen in combinations_with_replacement(sorted(letters), count):
            factor: Monomial = times(*(power(Step(letter), 1) for letter in chosen))
            value = value_of(factor, letters)
            if number % value:
                continue
            yield {factor: Fraction(number // value)}
            for letter in letters:
                digits = _digits(number // value, letters[letter])
                yield {times(factor, power(Step(letter), n)): Fraction(d) for n, d in digits.items()}


def _digits(number: int, base: int) -> dict[int, int]:
    """Give the digits in a base, by their places."""
    sign, rest, place = (-1 if number < 0 else 1), abs(number), 0
    digits = {}
    while rest and place <= _DEGREE and base > 1:
        rest, digit = divmod(rest, base) if place < _DEGREE else (0, rest)
        if digit:
            digits[place] = sign * digit
        place += 1
    return digits or {0: number}


def _is_product(spelling: Polynomial, plain: Polynomial) -> bool:
    return len(spelling) == 1 and _length(spelling) + _MARGIN < _length(plain)


def _length(polynomial: Polynomial) -> float:
    return sum(_TERM + log2(1 + abs(c)) for c in polynomial.values())
