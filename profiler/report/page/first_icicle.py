"""The icicle as it is before the page's scripts run: the same boxes, without plotly, at the first paint."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from profiler.escaping import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: As in ``scripts/icicle.js``: the levels, the most boxes, and the least share of a box.
_LEVELS, _MOST, _LEAST = 7, 600, 4e-4
#: Height of a level in pixels, margin, and the least height of the picture.
_LEVEL, _MARGIN, _LOWEST = 44, 8, 160
_TINTS = 9
#: A label needs this share of the width; its longest text, in characters.
_LABELLED, _LONGEST = 0.02, 40
_TOTAL, _EDGES, _TYPE = 4, 5, 0


@dataclass(frozen=True, slots=True)
class Box:
    """A module, or a run of equal ones: its place and its share of the whole, both between 0 and 1."""

    label: str
    level: int
    x: float
    share: float

    @property
    def tint(self) -> int:
        """The number of its colour: the square root spreads the small shares."""
        return round(sqrt(self.share) * (_TINTS - 1))

    @property
    def is_labelled(self) -> bool:
        """Whether there is room for the label."""
        return self.share >= _LABELLED


@dataclass(frozen=True, slots=True)
class _Item:
    node: int
    times: int
    label: str
    level: int
    x: float


@dataclass(frozen=True, slots=True)
class FirstIcicle:
    """The boxes, and the height of the picture in pixels."""

    boxes: tuple[Box, ...]
    height: int
    level_height: int = _LEVEL


def first_icicle(data: Mapping[str, Any]) -> FirstIcicle:
    """Return the boxes of a report's data, by the first measure that it has."""
    nodes = data["nodes"]
    column = _column(data["measures"], nodes[-1][_TOTAL])
    boxes = tuple(_boxes(nodes, column))
    return FirstIcicle(boxes, max(_LOWEST, _LEVEL * (1 + max(box.level for box in boxes)) + 2 * _MARGIN))


def _column(measures: Sequence[Mapping[str, Any]], totals: Sequence[Any]) -> int:
    pictured = (i for i, measure in enumerate(measures) if measure["pictured"] and float(totals[i]) > 0)
    return next(pictured, 0)


def _boxes(nodes: Sequence[Sequence[Any]], column: int) -> Iterator[Box]:
    """Yield the boxes level by level, each below its parent."""

    def share(item: _Item) -> float:
        return float(nodes[item.node][_TOTAL][column]) * item.times / whole

    whole = float(nodes[-1][_TOTAL][column]) or 1.0
    level = [_Item(len(nodes) - 1, 1, nodes[-1][_TYPE], 0, 0.0)]
    drawn = 0
    while level and level[0].level < _LEVELS and drawn + len(level) <= _MOST:
        drawn += len(level)
        yield from (Box(shorten(item.label, _LONGEST), item.level, item.x, share(item)) for item in level)
        level = [child for item in level for child in _children(nodes, item, column, whole)]


def _children(nodes: Sequence[Sequence[Any]], parent: _Item, column: int, whole: float) -> Iterator[_Item]:
    """Yield the submodules that can be seen, from the left end of their parent on."""
    x = parent.x
    for first, last, count, node in nodes[parent.node][_EDGES]:
        name = first if count == 1 else f"{first}–{last} ×{count}"
        item = _Item(node, parent.times * count, name, parent.level + 1, x)
        share = float(nodes[node][_TOTAL][column]) * item.times / whole
        if share > _LEAST:
            yield item
            x += share
