"""Compare a formula with the derived closed form, term by term."""

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
    """A term whose coefficient differs between the formula and the model."""

    monomial: Monomial
    #: The model's and the formula's coefficient; 0 for a missing term.
    measured: Fraction
    claimed: Fraction
    origins: tuple[tuple[Origin, Fraction], ...]

    @property
    def kind(self) -> str:
        """Whether the term is missing from the formula, is spurious, or has another coefficient."""
        if not self.claimed:
            return "missing"
        return "spurious" if not self.measured else "other coefficient"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A formula, and the terms in which it differs from the model."""

    #: The formula as a polynomial; None if it is not one.
    claimed: Polynomial | None
    #: Empty if the two are equal.
    differences: tuple[Difference, ...]
    #: For a formula that is not a polynomial: points, with the model's cost and the formula's value (None: undefined).
    points: tuple[tuple[Point, Fraction, Fraction | None], ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether the formula equals the model's cost in every term, or at every point."""
        return not self.differences and all(measured == claimed for _, measured, claimed in self.points)


def compare(piece: Piece, formula: sympy.Expr, names: Mapping[str, str], letters: Mapping[str, int]) -> Comparison:
    """Compare a formula with the total cost in a piece.

    Args:
        piece: A piece of the derived closed form.
        formula: The formula, as `profiler.expressions.parse` returns it.
        names: The variable that each letter or name in the formula stands for.
        letters: The values of the other letters in the formula.
    """
    measured = piece.total
    claimed = polynomial_of(formula, names)
    if claimed is None:
        return Comparison(None, (), tuple(_values_at_points(piece, formula, names, letters)))
    claimed = write_in_sizes(claimed, piece.variables)
    if not add((write_in_sizes(measured, piece.variables), scale(evaluate_partially(claimed, letters), -1))):
        return Comparison(claimed, ())
    polynomials = {
        origin: express_in(write_in_sizes(polynomial, piece.variables), letters)
        for origin, polynomial in piece.polynomials.items()
    }
    return Comparison(claimed, tuple(_differences(polynomials, claimed)))


def polynomial_of(formula: sympy.Expr, names: Mapping[str, str]) -> Polynomial | None:
    """Convert an expression to a polynomial in variables and ceil-steps; return None if it is not one."""
    terms: list[Polynomial] = []
    for term in sympy.Add.make_args(sympy.expand(formula)):
        product: Polynomial = {ONE: Fraction(1)}
        for factor in sympy.Mul.make_args(term):
            converted = _convert_factor(factor, names)
            if converted is None:
                return None
            product = multiply(product, converted)
        terms.append(product)
    return add(terms)


def _convert_factor(factor: sympy.Expr, names: Mapping[str, str]) -> Polynomial | None:
    """Convert a number or a power of a step; the step's offset is normalised to the largest one below 1."""
    if isinstance(factor, sympy.Rational):
        return {ONE: Fraction(int(factor.p), int(factor.q))}
    base, exponent = factor.as_base_exp()
    step = _convert_step(base, names)
    if step is None or not exponent.is_Integer or exponent < 0:
        return None
    steps = -(-step.offset // step.size)
    normalised = {power(step._replace(offset=step.offset - steps * step.size), 1): Fraction(1), ONE: Fraction(steps)}
    return reduce(multiply, [add([normalised])] * int(exponent), {ONE: Fraction(1)})


def _convert_step(base: sympy.Expr, names: Mapping[str, str]) -> CeilStep | None:
    """Convert a name, or the ceiling of an affine function of a name, to a step."""
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


def _differences(polynomials: Mapping[Origin, Polynomial], claimed: Polynomial) -> Iterable[Difference]:
    measured = add(polynomials.values())
    for monomial in {**measured, **claimed}:
        ours, theirs = measured.get(monomial, Fraction(0)), claimed.get(monomial, Fraction(0))
        if ours != theirs:
            origins = [(origin, p[monomial]) for origin, p in polynomials.items() if monomial in p]
            yield Difference(monomial, ours, theirs, tuple(sorted(origins, key=lambda o: (-abs(o[1]), o[0]))))


def _values_at_points(
    piece: Piece, formula: sympy.Expr, names: Mapping[str, str], letters: Mapping[str, int]
) -> Iterable[tuple[Point, Fraction, Fraction | None]]:
    """Evaluate the model's cost and the formula at every sampled point."""
    for point in (*piece.used, *piece.verified):
        values = {s.name: {**letters, **point}[names.get(s.name, s.name)] for s in formula.free_symbols}
        yield point, evaluate(piece.total, point), _evaluate_formula(formula, values)


def _evaluate_formula(formula: sympy.Expr, values: Mapping[str, int]) -> Fraction | None:
    """Return the value of a formula; None where it divides by zero."""
    try:
        value = substitute(formula, values)
    except InputError:
        return None
    return Fraction(int(value.p), int(value.q)) if isinstance(value, sympy.Rational) else None
