"""``ClosedForm``: what was derived, and how it was verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.derive.polynomials import Polynomial, add, evaluate

if TYPE_CHECKING:
    from fractions import Fraction

    from profiler.derive.polynomials import Monomial
    from profiler.derive.samples import Origin
    from profiler.derive.variables import Point, Variable


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a polynomial, and the origins that its coefficient is the sum of, the largest first."""

    monomial: Monomial
    coefficient: Fraction
    origins: tuple[tuple[Origin, Fraction], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A polynomial for each origin, and the sizes for which it holds."""

    variables: tuple[Variable, ...]
    parts: dict[Origin, Polynomial]
    #: Points from which it was found, and others at which every origin's cost was just what it says.
    used: tuple[Point, ...]
    verified: tuple[Point, ...]

    @property
    def total(self) -> Polynomial:
        """The whole cost."""
        return add(self.parts.values())

    def of_part(self, part: str) -> Polynomial:
        """Sum the origins of one part: the contractions, say."""
        return add(polynomial for origin, polynomial in self.parts.items() if origin.part == part)

    @property
    def kinds(self) -> list[str]:
        """The parts that there are, contractions first."""
        return sorted({origin.part for origin in self.parts})

    def terms(self, part: str | None = None) -> list[Term]:
        """List the terms of the whole or of one part, those that are largest at the far end of the sizes first."""
        chosen = {o: p for o, p in self.parts.items() if part is None or o.part == part}
        far = {variable.name: variable.high for variable in self.variables}
        terms = [_term(monomial, coefficient, chosen) for monomial, coefficient in add(chosen.values()).items()]
        return sorted(terms, key=lambda t: _size(t, far), reverse=True)

    def holds(self, point: Point) -> bool:
        """Say whether a point is within the sizes."""
        return all(v.low <= point[v.name] <= v.high for v in self.variables)


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """The cost of a model, exactly, for every size in the ranges."""

    subject: str
    quantity: str
    unit: str
    variables: tuple[Variable, ...]
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...] = ()

    def piece(self, point: Point) -> Piece | None:
        """Find the piece that holds at a point; None outside of them all."""
        return next((piece for piece in self.pieces if piece.holds(point)), None)

    def __call__(self, point: Point) -> Fraction | None:
        """Give the cost at a point; None where it is outside the ranges."""
        piece = self.piece(point)
        return None if piece is None else evaluate(piece.total, point)


def _term(monomial: Monomial, coefficient: Fraction, parts: dict[Origin, Polynomial]) -> Term:
    shares = [(origin, polynomial[monomial]) for origin, polynomial in parts.items() if monomial in polynomial]
    return Term(monomial, coefficient, tuple(sorted(shares, key=lambda share: (-abs(share[1]), share[0]))))


def _size(term: Term, point: Point) -> tuple[Fraction, Monomial]:
    known = {step.variable: 1 for step, _ in term.monomial} | point
    return abs(evaluate({term.monomial: term.coefficient}, known)), term.monomial
