"""Hold a formula given as text against what was derived: term by term."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING

import sympy

from profiler.derive.constants import express_in
from profiler.derive.polynomials import (
    ONE,
    Monomial,
    Polynomial,
    add,
    evaluate,
    evaluate_partially,
    multiply,
    power,
    scale,
)
from profiler.derive.strides import write_in_sizes
from profiler.derive.variables import CeilStep
from profiler.errors import InputError
from profiler.expressions import substitute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profiler.derive.closed_form import Piece
    from profiler.derive.samples import Origin
    from profiler.derive.variables import Point


@dataclass(frozen=True, slots=True)
class Difference:
    """A term in which formula and model differ."""

    monomial: Monomial
    #: Coefficients; 0 where one has no such term.
    measured: Fraction
    claimed: Fraction
    origins: tuple[tuple[Origin, Fraction], ...]

    @property
    def kind(self) -> str:
        """Whether the formula lacks the term, has one too many, or another coefficient."""
        if not self.claimed:
            return "missing"
        return "spurious" if not self.measured else "other coefficient"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a formula says, and in which terms it differs; none where they are equal."""

    claimed: Polynomial | None
    differences: tuple[Difference, ...]
    #: For a formula that is no polynomial: points, with what is measured there and what it says; None for no number.
    points: tuple[tuple[Point, Fraction, Fraction | None], ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether the formula gives the cost, at every point."""
        return not self.differences and all(measured == claimed for _, measured, claimed in self.points)


def compare(piece: Piece, formula: sympy.Expr, names: Mapping[str, str], letters: Mapping[str, int]) -> Comparison:
    """Compare a formula with the whole cost.

    Args:
        piece: What was derived.
        formula: As `profiler.expressions.parse` reads it.
        names: The variable that each letter, or name, of the formula stands for.
        letters: Values of the formula's other letters.
    """
    measured = piece.total
    claimed = polynomial_of(formula, names)
    if claimed is None:
        return Comparison(None, (), tuple(_values(piece, formula, names, letters)))
    claimed = write_in_sizes(claimed, piece.variables)
    if not add((write_in_sizes(measured, piece.variables), scale(evaluate_partially(claimed, letters), -1))):
        return Comparison(claimed, ())
    spelled = {
        origin: express_in(write_in_sizes(part, piece.variables), letters) for origin, part in piece.parts.items()
    }
    return Comparison(claimed, tuple(_differences(spelled, claimed)))


def polynomial_of(formula: sympy.Expr, names: Mapping[str, str]) -> Polynomial | None:
    """Read an expression as a polynomial in variables and their steps; None where it is none."""
    result: list[Polynomial] = []
    for term in sympy.Add.make_args(sympy.expand(formula)):
        whole: Polynomial = {ONE: Fraction(1)}
        for factor in sympy.Mul.make_args(term):
            read = _factor(factor, names)
            if read is None:
                return None
            whole = multiply(whole, read)
        result.append(whole)
    return add(result)


def _factor(factor: sympy.Expr, names: Mapping[str, str]) -> Polynomial | None:
    """Read a number, or a power of a step; a step is counted as those that are found are, from the nearest below 1."""
    if isinstance(factor, sympy.Rational):
        return {ONE: Fraction(int(factor.p), int(factor.q))}
    base, exponent = factor.as_base_exp()
    step = _step(base, names)
    if step is None or not exponent.is_Integer or exponent < 0:
        return None
    steps = -(-step.offset // step.size)
    counted = {power(step._replace(offset=step.offset - steps * step.size), 1): Fraction(1), ONE: Fraction(steps)}
    return reduce(multiply, [add([counted])] * int(exponent), {ONE: Fraction(1)})


def _step(base: sympy.Expr, names: Mapping[str, str]) -> CeilStep | None:
    """Read a name, or the ceiling of an affine function of one, as a step."""
    if isinstance(base, sympy.Symbol):
        return CeilStep(names.get(base.name, base.name))
    if not isinstance(base, sympy.ceiling) or len(base.free_symbols) != 1:
        return None
    (symbol,) = base.free_symbols
    slope, constant = base.args[0].coeff(symbol), base.args[0].subs(symbol, 0)
    size = 1 / slope if slope else sympy.nan
    offset = constant * size
    is_affine = sympy.expand(base.args[0] - slope * symbol) == constant
    if not (is_affine and size.is_Integer and size > 0 and offset.is_Integer):
        return None
    return CeilStep(names.get(symbol.name, symbol.name), int(offset), int(size))


def _differences(parts: Mapping[Origin, Polynomial], claimed: Polynomial) -> Iterable[Difference]:
    measured = add(parts.values())
    for monomial in {**measured, **claimed}:
        mine, theirs = measured.get(monomial, Fraction(0)), claimed.get(monomial, Fraction(0))
        if mine != theirs:
            origins = [(origin, p[monomial]) for origin, p in parts.items() if monomial in p]
            yield Difference(monomial, mine, theirs, tuple(sorted(origins, key=lambda o: (-abs(o[1]), o[0]))))


def _values(
    piece: Piece, formula: sympy.Expr, names: Mapping[str, str], letters: Mapping[str, int]
) -> Iterable[tuple[Point, Fraction, Fraction | None]]:
    """Evaluate a formula that is no polynomial at every point that was measured."""
    for point in (*piece.used, *piece.verified):
        known = {s.name: {**letters, **point}[names.get(s.name, s.name)] for s in formula.free_symbols}
        yield point, evaluate(piece.total, point), _number(formula, known)


def _number(formula: sympy.Expr, known: Mapping[str, int]) -> Fraction | None:
    """Evaluate a formula; None where it divides by zero."""
    try:
        value = substitute(formula, known)
    except InputError:
        return None
    return Fraction(int(value.p), int(value.q)) if isinstance(value, sympy.Rational) else None
