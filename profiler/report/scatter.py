"""Several things as points of a picture: one figure of each against another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from profiler import units

#: How an amount is written: with a decimal or a binary prefix, as a time, or as a number with four digits.
Scale = Literal["count", "size", "seconds", "plain"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A figure of all points, which can be drawn along either axis."""

    label: str
    scale: Scale
    #: One for each point; None if it is unknown.
    values: tuple[float | None, ...]
    unit: str = ""
    #: 1 if a larger value is better, −1 if a smaller one is, 0 if neither.
    better: int = 0

    def text(self, value: float) -> str:
        """Return an amount, rounded, with its unit."""
        if self.scale == "size":
            return units.size(round(value))
        if self.scale == "seconds":
            return units.seconds(value) if value else "0 s"
        if self.scale == "count":
            return units.count(round(value), self.unit)
        return units.with_unit(units.rounded(value) if value else "0", self.unit)


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points with names, and the figures that they can be drawn by."""

    names: tuple[str, ...]
    axes: tuple[Axis, ...]
    #: The labels of the axes that are drawn at first.
    across: str
    up: str
    #: What kind of point each is: a kind has a colour and a symbol. Empty if there are no kinds.
    groups: tuple[str, ...] = ()
    #: Whether a point is drawn filled; an open one misses what was asked. Empty if all are filled.
    filled: tuple[bool, ...] = ()
    #: A line across the picture: the label of its axis, where it is, and what it says.
    line: tuple[str, float, str] | None = None

    @property
    def drawn(self) -> tuple[Axis, Axis]:
        """The axes that are drawn at first; if those have no values, the first and the last that have some."""
        if not self.axes:
            unknown = (None,) * len(self.names)
            return Axis(self.across, "count", unknown), Axis(self.up, "count", unknown)
        by_label = {axis.label: axis for axis in self.axes}
        return by_label.get(self.across, self.axes[0]), by_label.get(self.up, self.axes[-1])

    @property
    def data(self) -> dict[str, Any]:
        """What the page's scripts draw, as plain values."""
        names = ("label", "scale", "unit", "values", "better")
        return {
            "names": self.names,
            "axes": [{name: getattr(axis, name) for name in names} for axis in self.axes],
            "drawn": [self.axes.index(axis) for axis in self.drawn],
            "groups": self.groups,
            "filled": self.filled,
            "line": self.line,
        }


def points_of(x: Axis, y: Axis) -> list[tuple[int, float, float]]:
    """Return the number and the place of each point that has both figures."""
    pairs = zip(x.values, y.values, strict=True)
    return [(i, a, b) for i, (a, b) in enumerate(pairs) if a is not None and b is not None]


def best_of_both(x: Axis, y: Axis) -> list[tuple[int, float, float]]:
    """Return the points that no other point beats in both figures, from left to right; none if a figure has no best.

    Example:
        >>> power = Axis("power", "plain", (5.0, 15.0, 20.0), better=-1)
        >>> rate = Axis("rate", "plain", (9.0, 30.0, 25.0), better=1)
        >>> best_of_both(power, rate)
        [(0, 5.0, 9.0), (1, 15.0, 30.0)]
    """
    if not x.better or not y.better:
        return []
    best, highest = [], float("-inf")
    for i, a, b in sorted(points_of(x, y), key=lambda point: (-x.better * point[1], -y.better * point[2], point[0])):
        if y.better * b > highest:
            best.append((i, a, b))
            highest = y.better * b
    return sorted(best, key=lambda point: point[1])
