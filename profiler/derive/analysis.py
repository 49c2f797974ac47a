"""Analyse a closed form: the largest size within a budget, crossovers between terms, and the rate of growth."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import sympy

from profiler.derive.polynomials import (
    ONE,
    Polynomial,
    degree,
    evaluate,
    evaluate_monomial,
    evaluate_partially,
    exponent_of,
)
from profiler.derive.variables import is_within
from profiler.errors import DerivationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.derive.closed_form import ClosedForm, Piece
    from profiler.derive.notation import Notation
    from profiler.derive.variables import Point, Variable

_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class LargestSize:
    """The largest size of a variable within a budget, with its cost and the cost of the next size."""

    variable: str
    budget: Fraction
    size: int
    cost: Fraction
    next_cost: Fraction
    #: Whether the size is beyond those for which the form was verified.
    is_beyond: bool


@dataclass(frozen=True, slots=True)
class Crossover:
    """The size from which the terms with the highest power of a variable exceed all other terms."""

    variable: str
    power: int
    #: The first such size from 1 on, with the other variables fixed at a point.
    size: int
    #: The exact real solution in the other variables; None if it is not a quotient of polynomials.
    solution: sympy.Expr | None


def find_largest_size(form: ClosedForm, variable: Variable, budget: Fraction, point: Point) -> LargestSize:
    """Find the largest size of a variable whose cost is within a budget.

    Args:
        form: The cost.
        variable: The variable to solve for.
        budget: The largest cost allowed, in the unit of the form.
        point: The sizes of the other variables.

    Raises:
        DerivationError: The smallest size exceeds the budget, or the cost does not grow with the variable.
    """

    def cost(size: int) -> Fraction:
        at = {**point, variable.name: size}
        return evaluate((form.piece(at) or form.pieces[-1]).total, at)

    _check_growth(form, variable, point)
    if cost(variable.low) > budget:
        msg = f"{variable.name}={variable.low} already costs {cost(variable.low)} {form.unit}, more than {budget}"
        raise DerivationError(msg)
    sizes = variable.sizes
    if not isinstance(sizes, range):
        within = [size for size in sizes if cost(size) <= budget]
        after = sizes[min(len(within), len(sizes) - 1)]
        return LargestSize(variable.name, budget, within[-1], cost(within[-1]), cost(after), is_beyond=False)
    size = variable.low + sizes.step * _last(lambda n: cost(variable.low + n * sizes.step) <= budget)
    return LargestSize(variable.name, budget, size, cost(size), cost(size + sizes.step), is_beyond=size > variable.high)


def find_crossover(polynomial: Polynomial, variable: str, point: Point, notation: Notation) -> Crossover | None:
    """Find from which size on the terms with the highest power of a variable exceed all other terms.

    Args:
        polynomial: The cost.
        variable: The variable that grows.
        point: The sizes of the other variables, and the values of the letters.
        notation: The letters for the solution.

    Returns:
        The crossover; None if the highest power is 1, if there are no other terms, or if a coefficient is negative.
    """
    highest = degree(polynomial, variable)
    leading = {m: c for m, c in polynomial.items() if exponent_of(m, variable) == highest}
    rest = {m: c for m, c in polynomial.items() if m not in leading}
    if highest < 2 or not rest or any(c < 0 for c in polynomial.values()):  # noqa: PLR2004 - a linear cost has none
        return None

    def is_below(size: int) -> bool:
        at = {**point, variable: size}
        return evaluate(leading, at) < evaluate(rest, at)

    size = _last(lambda n: n == 0 or is_below(n)) + 1
    return Crossover(variable, highest, size, _solve_crossover(leading, rest, variable, notation))


def growth_exponents(polynomial: Polynomial, variable: str, point: Point) -> tuple[int, Fraction]:
    """Return the exponent of a cost's asymptotic growth in a variable, and the local exponent at a point.

    The local exponent is ``d log cost / d log variable``; ceil-steps are treated like the variable itself.
    """
    cost = evaluate(polynomial, point)
    weighted = sum(
        (c * evaluate_monomial(m, point) * exponent_of(m, variable) for m, c in polynomial.items()), Fraction(0)
    )
    return degree(polynomial, variable), weighted / cost if cost else Fraction(0)


def _solve_crossover(leading: Polynomial, rest: Polynomial, variable: str, notation: Notation) -> sympy.Expr | None:
    """Solve for the size at which both sides are equal, if their powers of the variable differ by one."""
    is_plain = all(step.is_plain for m in (*leading, *rest) for step, _ in m if step.variable == variable)
    highest = degree(leading, variable)
    if not is_plain or any(exponent_of(m, variable) != highest - 1 for m in rest):
        return None
    symbol = sympy.Symbol(notation.letter(variable), positive=True, integer=True)
    return sympy.factor(sympy.cancel(symbol * notation.expression(rest) / notation.expression(leading)))


def _check_growth(form: ClosedForm, variable: Variable, point: Point) -> None:
    """Raise if the cost may fall where the variable grows, or does not depend on it."""
    others = {name: size for name, size in point.items() if name != variable.name}
    grows = False
    for piece in form.pieces:
        if not is_within(others, (v for v in piece.variables if v.name != variable.name)):
            continue
        polynomial = evaluate_partially(piece.total, others)
        if all(monomial == ONE for monomial in polynomial):
            continue
        grows = True
        if _may_fall(polynomial, _low(piece, variable)):
            msg = f"the cost may fall where {variable.name!r} grows; a budget has no largest size"
            raise DerivationError(msg)
    if not grows:
        msg = f"the cost does not grow with {variable.name!r}; a budget has no largest size"
        raise DerivationError(msg)


def _low(piece: Piece, variable: Variable) -> int:
    return next(v.low for v in piece.variables if v.name == variable.name)


def _may_fall(polynomial: Polynomial, low: int) -> bool:
    """Return whether a polynomial in the steps of one variable has a negative coefficient when expanded at *low*.

    Without one, it grows with every step from *low* on. The constant does not matter.
    """
    steps = sorted({step for m in polynomial for step, _ in m})
    symbols = {step: sympy.Dummy(nonnegative=True) for step in steps}
    expanded = sympy.Add(*(
        sympy.Rational(c.numerator, c.denominator) * sympy.Mul(*((symbols[s] + s.at(low)) ** n for s, n in m))
        for m, c in polynomial.items()
    ))  # fmt: skip
    return any(c < 0 for c in sympy.Poly(expanded, *symbols.values()).coeffs()[:-1])


def _last(holds: Callable[[int], bool]) -> int:
    """Return the last integer from 0 on for which a condition holds that becomes false once."""
    high = 1
    while holds(high):
        high *= 2
        if high > _LARGEST:
            msg = "no solution below 2^63"
            raise DerivationError(msg)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
