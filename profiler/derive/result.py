"""``DerivationResult``: a closed form with everything that a report shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from profiler.derive.analysis import Crossover, LargestSize, find_crossover, growth_exponents
from profiler.derive.constants import express_in
from profiler.derive.notation import Notation
from profiler.derive.quantities import CONTRACTION

if TYPE_CHECKING:
    from fractions import Fraction

    from profiler.derive.closed_form import ClosedForm, Piece
    from profiler.derive.comparison import Comparison
    from profiler.derive.variables import Point


@dataclass(frozen=True)
class DerivationResult:
    """A closed form, the letters to write it in, and the results of comparing and solving it."""

    form: ClosedForm
    #: Values of the letters that stand for constants.
    letters: dict[str, int]
    #: The sizes at which growth and crossovers are reported.
    point: Point
    comparison: Comparison | None = None
    largest: LargestSize | None = None

    @property
    def notation(self) -> Notation:
        """The letters: those of the variables first, then those of constants."""
        names = {v.name: v.letter for v in self.form.variables}
        return Notation(names | {letter: letter for letter in self.letters})

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces of the form, with coefficients expressed in the letters."""
        return tuple(
            replace(piece, polynomials={o: express_in(p, self.letters) for o, p in piece.polynomials.items()})
            for piece in self.form.pieces
        )

    @cached_property
    def main(self) -> Piece:
        """The piece for which growth and crossovers are reported: the one at the point, or else the last."""
        return self.form.piece(self.point) or self.form.pieces[-1]

    def growths(self) -> list[tuple[str, int, Fraction]]:
        """List each variable's name, the exponent of the asymptotic growth, and the local exponent at the point."""
        return [
            (v.name, *growth_exponents(self.main.total, v.name, self.point))
            for v in self.main.variables
            if len(v.sizes) > 1
        ]

    def crossovers(self) -> list[Crossover]:
        """List where the highest power of each variable overtakes the other contraction terms.

        A cost without contractions is considered as a whole. A crossover below the smallest size is left out.
        """
        piece = self.pieces[self.form.pieces.index(self.main)]
        polynomial = piece.of_part(CONTRACTION) if CONTRACTION in piece.parts else piece.total
        point = {**self.letters, **self.point}
        crossovers = [(v, find_crossover(polynomial, v.name, point, self.notation)) for v in self.main.variables]
        return [c for v, c in crossovers if c is not None and c.size > v.low]
