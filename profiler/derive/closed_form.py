"""``ClosedForm``: the derived cost of a model, with the points that verified it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.derive.polynomials import Polynomial, add, evaluate
from profiler.derive.variables import is_within

if TYPE_CHECKING:
    from fractions import Fraction

    from profiler.derive.polynomials import Monomial
    from profiler.derive.samples import Origin
    from profiler.derive.variables import Point, Variable


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a polynomial, and how much each origin contributes to its coefficient, the largest first."""

    monomial: Monomial
    coefficient: Fraction
    origins: tuple[tuple[Origin, Fraction], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A polynomial for each origin, valid within the sizes of *variables*."""

    variables: tuple[Variable, ...]
    polynomials: dict[Origin, Polynomial]
    #: Points that the polynomials were interpolated from.
    used: tuple[Point, ...]
    #: Other points, at which the cost of every origin was compared with its polynomial and found equal.
    verified: tuple[Point, ...]

    @property
    def total(self) -> Polynomial:
        """The cost of the whole model."""
        return add(self.polynomials.values())

    def of_part(self, part: str) -> Polynomial:
        """Return the sum of one part over all origins, such as all contractions."""
        return add(polynomial for origin, polynomial in self.polynomials.items() if origin.part == part)

    @property
    def parts(self) -> list[str]:
        """The names of the parts that occur, contractions first."""
        return sorted({origin.part for origin in self.polynomials})

    def terms(self, part: str | None = None) -> list[Term]:
        """List the terms of the whole or of one part, in descending order of their value at the largest sizes."""
        polynomials = {o: p for o, p in self.polynomials.items() if part is None or o.part == part}
        largest = {variable.name: variable.high for variable in self.variables}
        terms = [_term(monomial, c, polynomials) for monomial, c in add(polynomials.values()).items()]
        return sorted(terms, key=lambda t: _rank(t, largest), reverse=True)

    def contains(self, point: Point) -> bool:
        """Return whether the piece is valid at a point."""
        return is_within(point, self.variables)


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """The exact cost of a model for every size within the ranges of its variables."""

    #: Name of the model.
    subject: str
    #: Name of the quantity, such as "flops".
    quantity: str
    unit: str
    variables: tuple[Variable, ...]
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...] = ()

    def piece(self, point: Point) -> Piece | None:
        """Return the piece that is valid at a point; None if the point is outside the ranges."""
        return next((piece for piece in self.pieces if piece.contains(point)), None)


def _term(monomial: Monomial, coefficient: Fraction, polynomials: dict[Origin, Polynomial]) -> Term:
    shares = [(origin, polynomial[monomial]) for origin, polynomial in polynomials.items() if monomial in polynomial]
    return Term(monomial, coefficient, tuple(sorted(shares, key=lambda share: (-abs(share[1]), share[0]))))


def _rank(term: Term, point: Point) -> tuple[Fraction, Monomial]:
    """Return the magnitude of a term at a point; letters of constants count as 1."""
    values = {step.variable: 1 for step, _ in term.monomial} | point
    return abs(evaluate({term.monomial: term.coefficient}, values)), term.monomial
