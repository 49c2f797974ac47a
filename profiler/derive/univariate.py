"""Find which monomials in one variable each origin's cost consists of, while the other variables stay fixed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from profiler.derive.ceil_steps import find_step
from profiler.derive.fitting import fit
from profiler.derive.polynomials import Monomial
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profiler.derive.samples import Origin, Samples
    from profiler.derive.variables import Point, Variable

#: For each origin, the monomials in one variable that its cost consists of.
Bases = dict["Origin", tuple[Monomial, ...]]
_FIRST, _MOST = 5, 9
_WINDOWS = (8, 16, 32, 64)


def find_bases(samples: Samples, variable: Variable, anchor: Point) -> tuple[Bases, list[Origin]]:
    """Find the monomials of every origin along a line.

    Args:
        samples: Returns the cost at a point.
        variable: The variable that changes along the line.
        anchor: The fixed sizes of the other variables.

    Returns:
        The monomials by origin, and the origins for which none fit.
    """
    line = _Line(samples, variable, anchor)
    for count in range(min(_FIRST, len(variable.sizes)), min(_MOST, len(variable.sizes)) + 1):
        line.sample(count)
        bases, failing = line.fit([CeilStep(variable.name)])
        if not failing:
            return bases, []
    return line.fit_steps(failing)


class _Line:
    """The costs along a line on which one variable changes."""

    def __init__(self, samples: Samples, variable: Variable, anchor: Point) -> None:
        self._samples, self._variable, self._anchor = samples, variable, anchor
        self._sizes: list[int] = []

    def sample(self, count: int) -> None:
        """Sample the two ends of the line and *count* sizes in between."""
        for size in [*self._variable.spread(count), self._variable.low, self._variable.high]:
            self._costs_at(size)

    def fit(self, steps: list[CeilStep], only: list[Origin] | None = None) -> tuple[Bases, list[Origin]]:
        """Fit every origin, or those in *only*; return the fits, and the origins without one."""
        origins = self._samples.origins if only is None else only
        bases: Bases = {}
        fits: dict[tuple[int, ...], tuple[Monomial, ...] | None] = {}  # many origins have the same costs
        for origin in origins:
            values = self._values(origin)
            key = tuple(values.values())
            if key not in fits:
                fits[key] = fit(values, steps)
            if (monomials := fits[key]) is not None:
                bases[origin] = monomials
        return bases, [origin for origin in origins if origin not in bases]

    def fit_steps(self, failing: list[Origin]) -> tuple[Bases, list[Origin]]:
        """Find the steps of the origins without a polynomial fit, and fit all origins again with these steps."""
        steps = self._find_steps(failing)
        bases, failing = self.fit(steps)
        for width in _WINDOWS if len(steps) > 1 else ():
            if not failing:
                break
            for size in self._variable.sizes[:width]:  # adjacent sizes distinguish steps of similar length
                self._costs_at(size)
            bases, failing = self.fit(steps)
        for step in steps[1:] if failing else ():  # a step of a step may show in no cost by itself
            more, failing = self.fit([steps[0], step, *step.coarser()], failing)
            bases |= more
        return bases, failing

    def _find_steps(self, failing: Sequence[Origin]) -> list[CeilStep]:
        """Return the variable itself, and the step of every failing origin that has one."""
        steps = [CeilStep(self._variable.name)]
        searched: set[tuple[int, ...]] = set()
        for origin in failing:
            values = tuple(self._values(origin).values())
            if values in searched:  # the same costs have the same steps
                continue
            searched.add(values)
            step = find_step(partial(self._cost, origin), partial(self._values, origin), self._variable)
            if step is not None and step not in steps:
                steps.append(step)
        return sorted(steps, key=lambda s: (s.size, s.offset))

    def _costs_at(self, size: int) -> Mapping[Origin, int]:
        costs = self._samples({**self._anchor, self._variable.name: size})
        if size not in self._sizes:
            self._sizes.append(size)
        return costs

    def _cost(self, origin: Origin, size: int) -> int:
        return self._costs_at(size).get(origin, 0)

    def _values(self, origin: Origin) -> dict[int, int]:
        return {size: self._cost(origin, size) for size in list(self._sizes)}
