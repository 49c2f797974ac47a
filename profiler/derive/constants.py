"""Express constants in letters with given values: with E = 768, 3541248 is ``6·E² + 3·E``.

Every such expression is an identity at those values. It does not prove that the model computes the constant in this
way: to prove that, vary the size.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement
from math import log2
from typing import TYPE_CHECKING

from profiler.derive.polynomials import (
    ONE,
    Monomial,
    Polynomial,
    add,
    evaluate_monomial,
    multiply,
    multiply_monomials,
    power,
    scale,
)
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEGREE = 3
#: Length of a term beyond that of its coefficient, and how much shorter than the number an expression must be; in bits.
_TERM, _MARGIN = 2, 3
#: Any number is some sum of letters. A sum is used only if its coefficients are this much smaller than the letters.
_SMALL = 8


def express_in(polynomial: Polynomial, letters: Mapping[str, int]) -> Polynomial:
    """Express the coefficients of a polynomial in letters, where that is shorter.

    Args:
        polynomial: Any polynomial.
        letters: Values by letter.

    Returns:
        A polynomial in the same variables and the letters, equal to the first at the letters' values.

    Example:
        >>> expressed = express_in({ONE: Fraction(3541248)}, {"E": 768})
        >>> expressed[power(CeilStep("E"), 2)], expressed[power(CeilStep("E"), 1)]
        (Fraction(6, 1), Fraction(3, 1))
    """
    if not letters:
        return polynomial
    return add(multiply({monomial: Fraction(1)}, _express(c, letters)) for monomial, c in polynomial.items())


def _express(coefficient: Fraction, letters: Mapping[str, int]) -> Polynomial:
    """Return the shortest expression of a coefficient; the plain number unless an expression is clearly shorter."""
    number = coefficient.numerator
    plain: Polynomial = {ONE: Fraction(number)}
    small = min(letters.values()) / _SMALL
    candidates = [c for c in _candidates(number, letters) if len(c) == 1 or max(map(abs, c.values())) <= small]
    shortest = min(candidates, key=_length)
    chosen = shortest if _length(shortest) + _MARGIN < _length(plain) else plain
    return scale(chosen, Fraction(1, coefficient.denominator))


def _candidates(number: int, letters: Mapping[str, int]) -> Iterator[Polynomial]:
    """Yield the number as a product of letters times a cofactor: a number, or digits in a letter's base."""
    for count in range(_DEGREE + 1):
        for chosen in combinations_with_replacement(sorted(letters), count):
            factor: Monomial = multiply_monomials(*(power(CeilStep(letter), 1) for letter in chosen))
            value = evaluate_monomial(factor, letters)
            if number % value:
                continue
            yield {factor: Fraction(number // value)}
            for letter in letters:
                digits = _digits(number // value, letters[letter])
                yield {multiply_monomials(factor, power(CeilStep(letter), n)): Fraction(d) for n, d in digits.items()}


def _digits(number: int, base: int) -> dict[int, int]:
    """Return the nonzero digits of a number in a base, by exponent; the last one holds all that is left."""
    sign, rest = (-1 if number < 0 else 1), abs(number)
    digits = {}
    for exponent in range(_DEGREE + 1 if base > 1 else 0):
        rest, digit = divmod(rest, base) if exponent < _DEGREE else (0, rest)
        if digit:
            digits[exponent] = sign * digit
    return digits or {0: number}


def _length(polynomial: Polynomial) -> float:
    return sum(_TERM + log2(1 + abs(c)) for c in polynomial.values())
