"""The tree of modules: each with its own costs, and with those of its children."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.tally.entry import group_entries, sum_entries
from profiler.tally.figures import HELD, Totals, sum_totals
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from profiler.tally.entry import Entry
    from profiler.values.records import Shape


@dataclass(frozen=True, slots=True)
class Module:
    """One module of the model, as it was observed."""

    path: str
    type: str
    calls: int
    params: int
    trainable_params: int
    buffers: int
    #: Shapes of the tensors returned by its first call.
    outputs: tuple[Shape, ...]
    #: Shapes of the tensors among the arguments of its first call; empty in profiles saved by older versions.
    inputs: tuple[Shape, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A module in the tree: its own costs, and the total with its children."""

    module: Module
    own: Totals
    total: Totals
    children: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.module.path.rpartition(".")[2]


def build_tree(model: str, modules: Iterable[Module], entries: Iterable[Entry]) -> Node:
    """Return the root of the tree of *modules* with their work; work outside every module is a child of the root."""
    own: dict[str, Totals] = defaultdict(Totals)
    for path, group in group_entries(entries, lambda e: e.record.module).items():
        own[path] = sum_entries(group)
    by_path = {m.path: m for m in modules}
    by_path.setdefault("", Module("", model, 0, 0, 0, 0, ()))
    if OUTSIDE in own:
        by_path[OUTSIDE] = Module(OUTSIDE, "", 0, 0, 0, 0, ())
    children: dict[str, list[Module]] = defaultdict(list)
    for path, module in by_path.items():
        if path:
            children[path.rpartition(".")[0]].append(module)
    nodes: dict[str, Node] = {}
    for module in reversed(_parents_first(by_path[""], children)):
        nodes[module.path] = _node(module, own, [nodes[child.path] for child in children[module.path]])
    return nodes[""]


def iter_nodes(node: Node) -> Iterator[Node]:
    """Yield a node and all nodes below it, parents first. The tree may be deeper than Python's calls can nest."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(node.children)


def _parents_first(root: Module, children: dict[str, list[Module]]) -> list[Module]:
    modules, pending = [], [root]
    while pending:
        modules.append(pending.pop())
        pending += reversed(children[modules[-1].path])
    return modules


def _node(module: Module, own: dict[str, Totals], below: Iterable[Node]) -> Node:
    held = Totals(**{name: getattr(module, name) for name in HELD})
    mine = own[module.path] + held
    return Node(module, mine, sum_totals((mine, *(child.total for child in below))), tuple(below))
