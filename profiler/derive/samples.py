"""``Samples``: a cache of costs by point, so that each point is counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from profiler.derive.variables import Point, format_point
from profiler.errors import DerivationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Costs = Mapping["Origin", int]


class Origin(NamedTuple):
    """Where a part of a cost comes from.

    Modules whose paths differ in numbers only, such as the layers of a stack, share one origin.
    """

    module: str
    operator: str
    #: "contraction" or "pointwise", or "read" or "written"; empty for a quantity without parts.
    part: str = ""


class Samples:
    """Counts the cost at a point by calling a function, and caches the result."""

    def __init__(self, cost: Callable[[Point], Costs], merged: frozenset[str] = frozenset()) -> None:
        """Start with an empty cache.

        Args:
            cost: Returns the cost at a point, by origin.
            merged: Modules whose operators are summed into one origin.
        """
        self._cost = cost
        self._cache: dict[tuple[tuple[str, int], ...], Costs | ModelError] = {}
        self.merged = merged

    def __call__(self, point: Point) -> Costs:
        """Return the cost at a point, by origin.

        Raises:
            DerivationError: The model rejects one of the sizes.
        """
        costs = self._at(point)
        if isinstance(costs, ModelError):
            hint = "vary only sizes that the model accepts, as in --vary NAME=LOW..HIGH:STEP"
            msg = f"no cost at {format_point(point)}: {costs}; {hint}"
            raise DerivationError(msg) from costs
        return self._merge(costs)

    def accepts(self, point: Point) -> bool:
        """Return whether the model runs at these sizes."""
        return not isinstance(self._at(point), ModelError)

    @property
    def points(self) -> list[Point]:
        """The points at which the model ran, in the order of the first call."""
        return [dict(key) for key, costs in self._cache.items() if not isinstance(costs, ModelError)]

    @property
    def origins(self) -> list[Origin]:
        """Every origin that has a cost at some point."""
        samples = [costs for costs in self._cache.values() if not isinstance(costs, ModelError)]
        return list(dict.fromkeys(origin for costs in samples for origin in self._merge(costs)))

    def _at(self, point: Point) -> Costs | ModelError:
        key = tuple(sorted(point.items()))
        if key not in self._cache:
            try:
                self._cache[key] = self._cost(point)
            except ModelError as error:
                self._cache[key] = error
        return self._cache[key]

    def _merge(self, costs: Costs) -> Costs:
        """Sum the operators of each merged module."""
        if not self.merged:
            return costs
        result: dict[Origin, int] = {}
        for origin, cost in costs.items():
            key = origin._replace(operator="several operators") if origin.module in self.merged else origin
            result[key] = result.get(key, 0) + cost
        return result
