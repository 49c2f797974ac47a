"""``Samples``: what was measured at which point; each point is measured once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from profiler.derive.variables import Point, format_point
from profiler.errors import DerivationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Origin(NamedTuple):
    """Where a part of a cost comes from. Modules that differ in a number only, as the layers of a stack, are one."""

    module: str
    operator: str
    #: "contraction" or "pointwise", "read" or "written"; empty where a quantity has no parts.
    part: str = ""


class Samples:
    """Measures, and remembers."""

    def __init__(self, measure: Callable[[Point], Mapping[Origin, int]], merged: frozenset[str] = frozenset()) -> None:
        """Prepare to measure."""
        self._measure = measure
        self._known: dict[tuple[tuple[str, int], ...], Mapping[Origin, int] | ModelError] = {}
        #: Modules of which only the sum over their operators is looked at.
        self.merged = merged

    def __call__(self, point: Point) -> Mapping[Origin, int]:
        """Give the cost at a point, by origin.

        Raises:
            DerivationError: The model refuses one of the sizes.
        """
        found = self._at(point)
        if isinstance(found, ModelError):
            hint = "name only sizes that it takes, as in --vary NAME=LOW..HIGH:STEP"
            msg = f"no cost at {format_point(point)}: {found}; {hint}"
            raise DerivationError(msg) from found
        return self._merge(found) if self.merged else found

    def accepts(self, point: Point) -> bool:
        """Say whether the model takes these sizes."""
        return not isinstance(self._at(point), ModelError)

    @property
    def points(self) -> list[Point]:
        """The points that were measured, in their order."""
        return [dict(key) for key, found in self._known.items() if not isinstance(found, ModelError)]

    @property
    def origins(self) -> list[Origin]:
        """Every origin that has a cost somewhere."""
        seen = [found for found in self._known.values() if not isinstance(found, ModelError)]
        return list(dict.fromkeys(origin for found in seen for origin in self._merge(found)))

    def _at(self, point: Point) -> Mapping[Origin, int] | ModelError:
        key = tuple(sorted(point.items()))
        if key not in self._known:
            try:
                self._known[key] = self._measure(point)
            except ModelError as error:
                self._known[key] = error
        return self._known[key]

    def _merge(self, found: Mapping[Origin, int]) -> Mapping[Origin, int]:
        """Sum the operators of the modules that are merged."""
        if not self.merged:
            return found
        result: dict[Origin, int] = {}
        for origin, cost in found.items():
            key = origin._replace(operator="several operators") if origin.module in self.merged else origin
            result[key] = result.get(key, 0) + cost
        return result
