"""Follow one variable while the others stay: of which monomials in it is each origin's cost made?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from profiler.derive.ceil_steps import find_step
from profiler.derive.fitting import fit
from profiler.derive.polynomials import Monomial
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from profiler.derive.samples import Origin, Samples
    from profiler.derive.variables import Point, Variable

#: The monomials in one variable of which an origin's cost is made.
Bases = dict["Origin", tuple[Monomial, ...]]
_FIRST, _MOST = 5, 9
_WINDOWS = (8, 16, 32, 64)


def bases(samples: Samples, variable: Variable, anchor: Point) -> tuple[Bases, list[Origin]]:
    """Give the monomials of every origin along a line, and the origins of which none were found.

    Args:
        samples: Measures.
        variable: The variable that changes.
        anchor: Where the line passes: the sizes of the others.
    """
    line = _Line(samples, variable, anchor)
    for number in range(min(_FIRST, len(variable.sizes)), min(_MOST, len(variable.sizes)) + 1):
        line.measure(number)
        found, failing = line.fit([CeilStep(variable.name)])
        if not failing:
            return found, []
    return line.fit_steps(failing)


class _Line:
    """The costs along one line."""

    def __init__(self, samples: Samples, variable: Variable, anchor: Point) -> None:
        self._samples, self._variable, self._anchor = samples, variable, anchor
        self._sizes: list[int] = []

    def measure(self, number: int) -> None:
        """Measure the two ends and so many sizes between."""
        ends = [self._variable.low, self._variable.high]
        for size in [*self._variable.spread(number), *ends]:
            self._at(size)

    def fit(self, steps: list[CeilStep], only: list[Origin] | None = None) -> tuple[Bases, list[Origin]]:
        """Fit every origin, and list those that have no fit."""
        found: Bases = {}
        same: dict[tuple[int, ...], tuple[Monomial, ...] | None] = {}
        for origin in self._samples.origins if only is None else only:
            values = self._values(origin)
            key = tuple(values.values())
            if key not in same:
                same[key] = fit(values, steps)
            if (monomials := same[key]) is not None:
                found[origin] = monomials
        failing = [o for o in (self._samples.origins if only is None else only) if o not in found]
        return found, failing

    def fit_steps(self, failing: list[Origin]) -> tuple[Bases, list[Origin]]:
        """Find the steps of the origins that have no plain fit, and fit all again with them."""
        steps = [CeilStep(self._variable.name)]
        seen: set[tuple[int, ...]] = set()
        for origin in failing:
            values = tuple(self._values(origin).values())
            if values in seen:  # what changes where another does has its steps
                continue
            seen.add(values)
            step = find_step(partial(self._cost, origin), partial(self._values, origin), self._variable)
            if step is not None and step not in steps:
                steps.append(step)
        steps.sort(key=lambda s: (s.size, s.offset))
        found, failing = self.fit(steps)
        for width in _WINDOWS if len(steps) > 1 else ():
            if not failing:
                break
            for size in self._variable.sizes[:width]:  # side by side, costs of several steps can be told apart
                self._at(size)
            found, failing = self.fit(steps)
        for step in steps[1:] if failing else ():  # a step of a step, which no cost shows by itself
            more, failing = self.fit([steps[0], step, *step.coarser()], failing)
            found |= more
        return found, failing

    def _at(self, size: int) -> None:
        if size not in self._sizes:
            self._samples({**self._anchor, self._variable.name: size})
            self._sizes.append(size)

    def _cost(self, origin: Origin, size: int) -> int:
        self._at(size)
        return self._samples({**self._anchor, self._variable.name: size}).get(origin, 0)

    def _values(self, origin: Origin) -> dict[int, int]:
        return {size: self._cost(origin, size) for size in list(self._sizes)}
