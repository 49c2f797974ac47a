"""The tree of modules: each with its own work, and with its children's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.tally.totals import Totals, add_up, grouped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.records import Shape
    from profiler.tally.profile import Profile

_OUTSIDE = "(outside)"


@dataclass(frozen=True, slots=True)
class Module:
    """One module of the model, as observed."""

    path: str
    type: str
    calls: int
    params: int
    trainable_params: int
    buffers: int
    #: Shapes of the tensors that its first call returned.
    outputs: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A module in the tree: its own work, and with its children's."""

    module: Module
    own: Totals
    total: Totals
    children: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.module.path.rpartition(".")[2]


def grow(profile: Profile) -> Node:
    """Put the work of a profile onto its modules; what ran outside them all is a child of the root."""
    own: dict[str, Totals] = defaultdict(Totals)
    for path, entries in grouped(profile.entries, lambda e: e.record.module).items():
        own[path] = add_up(e.totals for e in entries)
    modules = {m.path: m for m in profile.modules}
    modules.setdefault("", Module("", profile.model, 0, 0, 0, 0, ()))
    if _OUTSIDE in own:
        modules[_OUTSIDE] = Module(_OUTSIDE, "", 0, 0, 0, 0, ())
    children: dict[str, list[Module]] = defaultdict(list)
    for path, module in modules.items():
        if path:
            children[path.rpartition(".")[0]].append(module)
    return _node(modules[""], own, children)


def walk(node: Node) -> Iterator[Node]:
    """Yield a node, and all below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def _node(module: Module, own: dict[str, Totals], children: dict[str, list[Module]]) -> Node:
    below = tuple(_node(child, own, children) for child in children[module.path])
    held = Totals(params=module.params, trainable_params=module.trainable_params, buffers=module.buffers)
    mine = own[module.path] + held
    return Node(module, mine, add_up((mine, *(child.total for child in below))), below)
