"""What follows from a closed form: the largest size within a budget, crossovers, and how fast it grows."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import sympy

from profiler.derive.polynomials import Polynomial, degree, evaluate, evaluate_monomial, evaluate_partially
from profiler.errors import DerivationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.derive.closed_form import ClosedForm
    from profiler.derive.notation import Notation
    from profiler.derive.variables import Point, Variable

_FARTHEST = 2**63


@dataclass(frozen=True, slots=True)
class LargestSize:
    """The largest size of a variable within a budget, what it costs, and what the next size costs."""

    variable: str
    size: int
    cost: Fraction
    next_cost: Fraction
    #: Whether it lies beyond the sizes for which the form was verified.
    is_beyond: bool


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where the terms of the highest power of a variable overtake all others."""

    variable: str
    power: int
    #: Of all sizes from 1 on, the first; the other variables as they are by default.
    size: int
    #: The exact place, as an expression in the other variables; None where it is no quotient.
    format_point: sympy.Expr | None


def find_largest_size(form: ClosedForm, variable: Variable, budget: Fraction, point: Point) -> LargestSize:
    """Find the largest size of a variable at which the cost is at most a budget.

    Args:
        form: The cost.
        variable: The size to find.
        budget: In the unit of the form.
        point: The sizes of the others.

    Raises:
        DerivationError: The smallest size costs more already, or the cost falls somewhere, or does not grow at all.
    """

    def cost(size: int) -> Fraction:
        at = {**point, variable.name: size}
        return evaluate((form.piece(at) or form.pieces[-1]).total, at)

    _check_it_grows(form, variable, point)
    sizes = variable.sizes
    step = sizes.step if isinstance(sizes, range) else 1
    if cost(variable.low) > budget:
        msg = f"{variable.name}={variable.low} costs {cost(variable.low)} {form.unit} already, more than {budget}"
        raise DerivationError(msg)
    if not isinstance(sizes, range):
        within = [size for size in sizes if cost(size) <= budget]
        after = sizes[min(len(within), len(sizes) - 1)]
        return LargestSize(variable.name, within[-1], cost(within[-1]), cost(after), is_beyond=False)
    steps = _last(lambda n: cost(variable.low + n * step) <= budget)
    size = variable.low + steps * step
    return LargestSize(variable.name, size, cost(size), cost(size + step), is_beyond=size > variable.high)


def find_crossover(polynomial: Polynomial, variable: str, point: Point, notation: Notation) -> Crossover | None:
    """Find where the terms of the highest power of a variable overtake the rest; None where they never have to."""
    highest = degree(polynomial, variable)
    powers = {m: sum(n for step, n in m if step.variable == variable) for m in polynomial}
    lead = {m: c for m, c in polynomial.items() if powers[m] == highest}
    rest = {m: c for m, c in polynomial.items() if powers[m] < highest}
    if highest < 2 or not rest or any(c < 0 for c in polynomial.values()):  # noqa: PLR2004 - linear grows evenly
        return None

    def is_behind(size: int) -> bool:
        at = {**point, variable: size}
        return evaluate(lead, at) < evaluate(rest, at)

    size = _last(lambda n: n == 0 or is_behind(n)) + 1
    format_point = None
    plain = all(step.is_plain for m in polynomial for step, _ in m if step.variable == variable)
    if plain and all(powers[m] == highest - 1 for m in rest):
        symbol = sympy.Symbol(notation.letter(variable), positive=True, integer=True)
        format_point = sympy.factor(sympy.cancel(symbol * notation.expression(rest) / notation.expression(lead)))
    return Crossover(variable, highest, size, format_point)


def growth_exponents(polynomial: Polynomial, variable: str, point: Point) -> tuple[int, Fraction]:
    """Give the exponent with which a cost grows in the end, and the one that it has at a point.

    The second is the cost's relative change over the variable's; a step counts as its variable does.
    """
    whole = evaluate(polynomial, point)
    weighted = sum(
        (
            c * evaluate_monomial(m, point) * sum(n for step, n in m if step.variable == variable)
            for m, c in polynomial.items()
        ),
        Fraction(0),
    )
    return degree(polynomial, variable), weighted / whole if whole else Fraction(0)


def _check_it_grows(form: ClosedForm, variable: Variable, point: Point) -> None:
    """Refuse a cost that may fall: one that has a negative coefficient when counted from the smallest size on."""
    others = {name: size for name, size in point.items() if name != variable.name}
    grows = False
    for piece in form.pieces:
        mine = next(v for v in piece.variables if v.name == variable.name)
        if any(not v.low <= others[v.name] <= v.high for v in piece.variables if v.name != variable.name):
            continue
        polynomial = evaluate_partially(piece.total, others)
        if not polynomial:
            continue
        steps = sorted({step for m in polynomial for step, _ in m})
        if not steps:
            continue
        grows = True
        symbols = {step: sympy.Dummy(nonnegative=True) for step in steps}
        shifted = sympy.Add(*(
            sympy.Rational(c.numerator, c.denominator)
            * sympy.Mul(*((symbols[s] + s.at(mine.low)) ** n for s, n in m))
            for m, c in polynomial.items()
        ))  # fmt: skip
        if any(c < 0 for c in sympy.Poly(shifted, *symbols.values()).coeffs()[:-1]):
            msg = f"the cost may fall where {variable.name!r} grows; no largest size can be given"
            raise DerivationError(msg)
    if not grows:
        msg = f"the cost does not grow with {variable.name!r}; no largest size can be given"
        raise DerivationError(msg)


def _last(holds: Callable[[int], bool]) -> int:
    """Give the last whole number from 0 on for which something holds that stops holding once."""
    high = 1
    while holds(high):
        high *= 2
        if high > _FARTHEST:
            msg = "no size up to 2^63 is the last"
            raise DerivationError(msg)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
