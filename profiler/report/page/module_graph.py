"""The tree of modules as a graph in which equal subtrees occur once, and runs of equal siblings are one edge.

The 126 equal blocks of a language model are one node, and one edge that says ×126. Nothing is lost: every module's path
can be followed through the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from profiler.escaping import plain
from profiler.report.module_rows import first_shape
from profiler.tally.tree import iter_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from profiler.report.page.measures import Measure
    from profiler.tally import Node

#: The largest integer up to which JavaScript's numbers are exact.
_EXACT = 2**53 - 1

#: An edge: the name of the first and of the last module, how many there are, and the number of their node.
Edge = tuple[str, str, int, int]


@dataclass(slots=True)
class ModuleGraph:
    """The distinct subtrees, children before their parents, so that the root is the last one."""

    measures: Sequence[Measure]
    #: Rows of type, output, calls, own amounts, amounts with all submodules, edges, and input.
    nodes: list[tuple[Any, ...]] = field(default_factory=list)
    _numbers: dict[object, int] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Node, measures: Sequence[Measure]) -> ModuleGraph:
        """Fold a tree; it may be deeper than Python's calls can nest."""
        graph = cls(measures)
        numbers: dict[int, int] = {}
        sums: dict[int, list[float]] = {}
        for node in reversed(list(iter_nodes(root))):
            own = [measure.own(node) for measure in measures]
            below = [sums[id(child)] for child in node.children]
            sums[id(node)] = [sum(column) for column in zip(own, *below, strict=True)]
            edges = _edges([(plain(child.name), numbers[id(child)]) for child in node.children])
            numbers[id(node)] = graph.add(node, own, sums[id(node)], edges)
        return graph

    def add(self, node: Node, own: Iterable[float], total: Iterable[float], edges: tuple[Edge, ...]) -> int:
        """Return the number of a node; one that equals an earlier one has its number."""
        module = node.module
        amounts = (tuple(map(_number, own)), tuple(map(_number, total)))
        row = (
            plain(module.type),
            first_shape(module.outputs),
            module.calls,
            *amounts,
            edges,
            first_shape(module.inputs),
        )
        if row not in self._numbers:
            self._numbers[row] = len(self.nodes)
            self.nodes.append(row)
        return self._numbers[row]


def _number(value: float) -> float | str:
    """Return a number as JavaScript can hold it: a larger integer as its digits."""
    return str(value) if isinstance(value, int) and value > _EXACT else value


def _edges(children: list[tuple[str, int]]) -> tuple[Edge, ...]:
    """Join consecutive equal children whose names count up by one: ``0`` to ``125``, ``layer_0`` to ``layer_11``."""
    runs = groupby(enumerate(children), lambda item: _run(item[0], *item[1]))
    edges = []
    for _, run in runs:
        (_, (first, number)), *_ = members = list(run)
        edges.append((first, members[-1][1][0], len(members), number))
    return tuple(edges)


def _run(position: int, name: str, number: int) -> object:
    """Return what siblings of one run share; the difference of number and position is constant in a run."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    if not digits or not digits.isascii() or (len(digits) > 1 and digits[0] == "0") or len(digits) > len(str(_EXACT)):
        return (position, name)
    return (stem, number, int(digits) - position)
