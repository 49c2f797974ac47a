"""The lines of the tree of modules: consecutive siblings that do the same work are one line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import groupby
from operator import add
from typing import TYPE_CHECKING

from profiler import units
from profiler.tally.figures import FIGURES, Totals
from profiler.tally.tree import iter_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.tally import Node
    from profiler.values.records import Shape


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree: a module, or a run of numbered siblings that do exactly the same work."""

    level: int
    name: str
    type: str
    totals: Totals
    calls: int
    output: str
    #: Bytes of activations that the module and its submodules keep for the backward pass.
    activations: int = 0
    #: The work of the module itself, without its submodules'.
    own: Totals = field(default_factory=Totals)
    #: The shape of the first tensor argument, and how many more there are.
    input: str = ""


def module_rows(root: Node, depth: int, activations: dict[str, int]) -> Iterator[Row]:
    """Yield the modules, parents first, down to *depth*.

    Args:
        root: The tree; it may be deeper than Python's calls can nest.
        depth: How many levels below the root to list.
        activations: The bytes of activations that each module and its submodules keep, by path.
    """
    lines = _Lines(root, activations)
    pending = [([root], 0, 1)]
    while pending:
        siblings, level, times = pending.pop()
        yield lines.row(siblings, level, times)
        if level < depth:
            groups = lines.groups(_merge(siblings))
            pending += [(group, level + 1, times * len(siblings)) for group in reversed(groups)]


class _Lines:
    """What decides which modules are one line, and what it says."""

    def __init__(self, root: Node, activations: dict[str, int]) -> None:
        """Number the distinct subtrees, and note the modules that ran, from the leaves upward."""
        self._activations = activations
        numbers: dict[object, int] = {}
        #: The number of the subtree below each path; equal subtrees have the same.
        self._structures: dict[str, int] = {}
        #: The paths of modules that were called, or a submodule of which was; a plain container is never called itself.
        self._ran: set[str] = set()
        for node in reversed(list(iter_nodes(root))):
            below = tuple(
                (child.name, child.module.type, _figures(child.total), self._structures[child.module.path])
                for child in node.children
            )
            self._structures[node.module.path] = numbers.setdefault(below, len(numbers))
            if node.module.calls > 0 or any(child.module.path in self._ran for child in node.children):
                self._ran.add(node.module.path)

    def groups(self, node: Node) -> list[list[Node]]:
        """Return the children of a node, those together that are one line."""
        return [list(siblings) for _, siblings in groupby(node.children, self._signature)]

    def row(self, siblings: list[Node], level: int, times: int) -> Row:
        """Return the line of some siblings, which stand for *times* as many modules."""
        first = siblings[0]
        module = first.module
        name = first.name if len(siblings) == 1 else f"{first.name}–{_number(siblings[-1].name)}"
        multiple = f" ×{len(siblings)}" if len(siblings) > 1 else ""
        uncalled = "" if module.path in self._ran or not module.type else "not called"
        total = reduce(add, (node.total for node in siblings))
        own = reduce(add, [node.own for node in siblings] * times)
        kept = times * sum(self._activations.get(node.module.path, 0) for node in siblings)
        output = first_shape(module.outputs) or uncalled
        return Row(
            level, name, module.type + multiple, total, module.calls, output, kept, own, first_shape(module.inputs)
        )

    def _signature(self, node: Node) -> object:
        """Return what siblings must share: numbered name, type, work, outputs, activations and children."""
        module, stem = node.module, node.name.removesuffix(_number(node.name))
        if stem == node.name:
            return module.path
        own = (stem, module.type, _figures(node.total), module.outputs, module.calls)
        return *own, self._activations.get(module.path, 0), self._structures[module.path]


def first_shape(shapes: Sequence[Shape]) -> str:
    """Return the first of some shapes, and how many more there are.

    Example:
        >>> first_shape([(1, 8), (8,), (8,)]), first_shape([])
        ('1×8 +2', '')
    """
    more = f" +{len(shapes) - 1}" if len(shapes) > 1 else ""
    return "".join(map(units.shape, shapes[:1])) + more


def _figures(totals: Totals) -> tuple[int, ...]:
    return tuple(getattr(totals, name) for name in FIGURES)


def _number(name: str) -> str:
    return name[len(name.rstrip("0123456789")) :]


def _merge(siblings: list[Node]) -> Node:
    """Merge equal siblings into one node whose children carry the work of all."""
    if len(siblings) == 1:
        return siblings[0]
    merged = (
        replace(children[0], total=reduce(add, (child.total for child in children)))
        for children in zip(*(sibling.children for sibling in siblings), strict=True)
    )
    return replace(siblings[0], children=tuple(_deep_sum(child, len(siblings)) for child in merged))


def _deep_sum(node: Node, times: int) -> Node:
    """Multiply the subtree below a merged node; its own total is multiplied already."""
    below = (replace(child, total=reduce(add, [child.total] * times)) for child in node.children)
    return replace(node, children=tuple(_deep_sum(child, times) for child in below))
