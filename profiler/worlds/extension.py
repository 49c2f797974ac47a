"""Extend figures from small worlds to a large one: exact linear algebra over the sizes on which they depend.

A figure is a sum of terms: a constant, one for each block, one for each microbatch, a part for each shard, and products
of the blocks with the others. As many traced points as terms determine it; further points verify it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from sympy import Matrix, Rational

from profiler.errors import ModelError
from profiler.worlds.rank_figures import RankFigures

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Levels that are not linear have to stay below this part of the peak, so that they are never the peak.
_BELOW = 0.9


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes on which the figures of a rank depend."""

    #: Blocks of the rank's part of the model, with whatever else counts as one in its pipeline.
    blocks: int
    #: Microbatches whose activations it holds at a time.
    in_flight: int
    microbatches: int
    #: Ranks over which parameters are sharded.
    shards: int

    def value(self, term: str) -> Fraction:
        """Return a term: the product of the sizes that its letters stand for.

        Example:
            >>> Sizes(blocks=3, in_flight=1, microbatches=2, shards=8).value("nu")
            Fraction(3, 8)
        """
        sizes = {"n": self.blocks, "w": self.in_flight, "m": self.microbatches}
        letters = {name: Fraction(size) for name, size in sizes.items()} | {"u": Fraction(1, self.shards)}
        product = Fraction(1)
        for letter in term:
            product *= letters[letter]
        return product


@dataclass(frozen=True, slots=True)
class Basis:
    """The terms of the counts and of the levels of memory, each with the points that determine them."""

    counts: tuple[str, ...]
    levels: tuple[str, ...]
    #: The points that determine the counts. The first ones of them, as many as terms, determine the levels.
    points: tuple[Sizes, ...]


@dataclass(frozen=True, slots=True)
class Extension:
    """The figures at the points of a basis, from which those at other sizes follow."""

    basis: Basis
    figures: tuple[RankFigures, ...]

    def at(self, sizes: Sizes) -> RankFigures:
        """Return the figures at other sizes.

        Raises:
            ModelError: A count is no whole number there: it does not depend on the sizes as the terms say.
        """
        weights = _weights(self.basis.points, self.basis.counts, sizes)
        some = _weights(self.basis.points[: len(self.basis.levels)], self.basis.levels, sizes)
        whole = self._sums("counts", weights)
        seconds = self._sums("seconds", weights)
        levels = self._sums("levels", some)
        return RankFigures(
            {name: _whole(name, value) for name, value in whole.items()},
            {name: max(0.0, float(value)) for name, value in seconds.items()},
            {name: int(value) for name, value in levels.items() if name in self._everywhere()},
        )

    def _sums(self, attribute: str, weights: Sequence[Fraction]) -> dict[str, Fraction]:
        """Return the weighted sum of each number; one that a point lacks is 0 there."""
        tables = [getattr(figures, attribute) for figures in self.figures[: len(weights)]]
        names = dict.fromkeys(name for table in tables for name in table)
        pairs = list(zip(weights, tables, strict=True))
        return {name: sum((w * Fraction(t.get(name, 0)) for w, t in pairs), Fraction(0)) for name in names}

    def _everywhere(self) -> set[str]:
        """Return the levels that every point has which determines them."""
        tables = [set(figures.levels) for figures in self.figures[: len(self.basis.levels)]]
        return set.intersection(*tables)


@dataclass(frozen=True, slots=True)
class Verified:
    """An extension that was equal to the trace at further points, and the levels that were not."""

    extension: Extension
    loose: frozenset[str]

    def at(self, sizes: Sizes) -> tuple[RankFigures, bool]:
        """Return the figures at other sizes, and whether their peak of memory is sure."""
        figures = self.extension.at(sizes)
        levels = {name: level for name, level in figures.levels.items() if name not in self.loose}
        peak = max(levels.values(), default=0)
        is_sure = all(figures.levels.get(name, 0) <= _BELOW * peak for name in self.loose)
        return RankFigures(figures.counts, figures.seconds, levels), is_sure


def verify(extension: Extension, traced: Sequence[tuple[Sizes, RankFigures]]) -> Verified | str:
    """Return the extension if it is equal to what was traced at further points; otherwise what differs.

    Every count has to be equal, and so has the peak of memory. A level of memory that is not equal must lie well below
    the peak everywhere.
    """
    loose: set[str] = set()
    for sizes, figures in traced:
        extended = extension.at(sizes)
        for name in figures.counts.keys() | extended.counts.keys():
            ours, theirs = extended.counts.get(name, 0), figures.counts.get(name, 0)
            if ours != theirs:
                return f"{name} is {theirs} and not {ours} with {sizes.blocks} blocks"
        names = figures.levels.keys() | extended.levels.keys()
        loose |= {name for name in names if extended.levels.get(name) != figures.levels.get(name)}
    for sizes, figures in traced:
        peak = figures.peak_bytes
        high = [name for name in loose if figures.levels.get(name, 0) > _BELOW * peak]
        if high:
            return f"the memory at {high[0]} is not linear, with {sizes.blocks} blocks"
    return Verified(extension, frozenset(loose))


@lru_cache(maxsize=256)
def _weights(points: tuple[Sizes, ...], terms: tuple[str, ...], sizes: Sizes) -> tuple[Fraction, ...]:
    """Return the weights of the points whose sum of figures is the figure at other sizes."""
    rows = [[_rational(point.value(term)) for point in points] for term in terms]
    wanted = Matrix([_rational(sizes.value(term)) for term in terms])
    return tuple(Fraction(int(w.p), int(w.q)) for w in Matrix(rows).LUsolve(wanted))


def _whole(name: str, value: Fraction) -> int:
    if value.denominator != 1:
        msg = f"{name} does not extend: it is no whole number at other sizes"
        raise ModelError(msg)
    return int(value)


def _rational(value: Fraction) -> Rational:
    return Rational(value.numerator, value.denominator)
