"""Everything that is said of a closed form, put together for the formats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from profiler.derive.analysis import Crossover, LargestSize, find_crossover, growth_exponents
from profiler.derive.constants import express_in
from profiler.derive.notation import Notation

if TYPE_CHECKING:
    from profiler.derive.closed_form import ClosedForm, Piece
    from profiler.derive.comparison import Comparison
    from profiler.derive.variables import Point


@dataclass(frozen=True)
class DerivationResult:
    """A closed form, the letters it is written in, and what was asked of it."""

    form: ClosedForm
    #: Values of letters that are no variables.
    letters: dict[str, int]
    #: The sizes at which growth and crossovers are told.
    point: Point
    comparison: Comparison | None = None
    largest: tuple[LargestSize, Fraction] | None = None

    @property
    def notation(self) -> Notation:
        """How the form is written: variables first, then the other letters."""
        names = {v.name: v.letter for v in self.form.variables}
        return Notation(names | {letter: letter for letter in self.letters})

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces, their coefficients spelled in the letters."""
        return tuple(
            replace(piece, parts={origin: express_in(p, self.letters) for origin, p in piece.parts.items()})
            for piece in self.form.pieces
        )

    @cached_property
    def main(self) -> Piece:
        """The piece that growth and crossovers are told of: the one at the point, or the last."""
        return self.form.piece(self.point) or self.form.pieces[-1]

    def growths(self) -> list[tuple[str, int, Fraction]]:
        """List how the cost grows with each variable: its name, the power in the end, and the one at the point."""
        return [
            (v.name, *growth_exponents(self.main.total, v.name, self.point))
            for v in self.main.variables
            if len(v.sizes) > 1
        ]

    def crossovers(self) -> list[Crossover]:
        """List where the highest power of each variable overtakes the rest of the contractions, or of the whole.

        Where it is ahead from the smallest size on, there is nothing to tell.
        """
        index = self.form.pieces.index(self.main)
        kind = "contraction" if "contraction" in self.main.kinds else None
        spelled = self.pieces[index] if kind is None else _only(self.pieces[index], kind)
        point = {**self.letters, **self.point}
        found = [(v, find_crossover(spelled.total, v.name, point, self.notation)) for v in self.main.variables]
        return [c for v, c in found if c is not None and c.size > v.low]


def _only(piece: Piece, part: str) -> Piece:
    return replace(piece, parts={origin: p for origin, p in piece.parts.items() if origin.part == part})
