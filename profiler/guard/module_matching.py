"""Match the modules of two profiles, by path or by the work that they do."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.guard.metrics import WORK
from profiler.tally import Totals
from profiler.tally.tree import iter_nodes

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterator

    from profiler.tally import Node, Profile


@dataclass(frozen=True, slots=True)
class Rename:
    """A module that does the same work, with all its submodules, under another path."""

    old: str
    new: str
    type: str


@dataclass(frozen=True, slots=True)
class ModuleMapping:
    """Which module of one profile is which module of another."""

    #: From the old path to the new path; removed modules are not in it.
    paths: dict[str, str]
    #: The outermost modules that have a new path.
    moves: tuple[Rename, ...]
    #: New paths of added modules.
    added: frozenset[str]
    #: Old paths of removed modules.
    removed: frozenset[str]

    @classmethod
    def of(cls, before: Profile, after: Profile) -> ModuleMapping:
        """Match modules with the same work at the same path, then at another path, then other work at the same path."""
        works = _WorkFingerprints()
        works.add(before)
        works.add(after)
        pairs = _Pairs()
        _match_in_place(before.tree, after.tree, works, pairs)
        moves = tuple(_match_elsewhere(before.tree, after.tree, works, pairs))
        for path in before.nodes:
            if path not in pairs.paths and path in after.nodes and path not in pairs.taken:
                pairs.paths[path] = path
        added = frozenset(after.nodes) - frozenset(pairs.paths.values())
        return cls(pairs.paths, moves, added, frozenset(before.nodes) - frozenset(pairs.paths))


class _WorkFingerprints:
    """Assigns a number to each distinct subtree of work, so that two modules are compared by comparing two numbers.

    A subtree of work contains operators, dtypes, phases, costs and the subtrees of its children in order, but no names.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}
        self._numbers: dict[int, int] = {}

    def add(self, profile: Profile) -> None:
        own: defaultdict[str, Counter[Hashable]] = defaultdict(Counter)
        for entry in profile.entries:
            record, totals = entry.record, entry.totals
            for name in ("calls", *WORK):
                amount = record.calls if name == "calls" else getattr(totals, name)
                own[record.module][record.packet, entry.dtype, record.phase, name] += amount
        self._number(profile.tree, own)

    def of(self, node: Node) -> int:
        return self._numbers[id(node)]

    def _number(self, node: Node, own: defaultdict[str, Counter[Hashable]]) -> int:
        held = node.module.params, node.module.trainable_params, node.module.buffers
        children = tuple(self._number(child, own) for child in node.children)
        work = frozenset(own[node.module.path].items()), held, children
        number = self._numbers[id(node)] = self._known.setdefault(work, len(self._known))
        return number


class _Pairs:
    """The modules matched so far."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self.taken: set[str] = set()

    def add(self, before: Node, after: Node) -> None:
        """Match two modules."""
        self.paths[before.module.path] = after.module.path
        self.taken.add(after.module.path)


def _match_in_place(before: Node, after: Node, works: _WorkFingerprints, pairs: _Pairs) -> None:
    """Match modules that do the same work at the same path."""
    if works.of(before) == works.of(after):
        pairs.add(before, after)
    named = {child.name: child for child in after.children}
    for child in before.children:
        if child.name in named:
            _match_in_place(child, named[child.name], works, pairs)


def _match_elsewhere(before: Node, after: Node, works: _WorkFingerprints, pairs: _Pairs) -> Iterator[Rename]:
    """Match remaining modules that do the same work at another path, outermost first; skip modules without work."""
    unmatched: defaultdict[int, deque[Node]] = defaultdict(deque)
    for node in iter_nodes(before):
        if node.module.path not in pairs.paths and node.total != Totals():
            unmatched[works.of(node)].append(node)
    for node in iter_nodes(after):
        old = _next_free(unmatched[works.of(node)], pairs) if _free(node, pairs.taken) else None
        if old is None:
            continue
        for one, other in zip(iter_nodes(old), iter_nodes(node), strict=True):
            pairs.add(one, other)
        if old.module.path != node.module.path:
            yield Rename(old.module.path, node.module.path, node.module.type)


def _next_free(nodes: deque[Node], pairs: _Pairs) -> Node | None:
    while nodes:
        node = nodes.popleft()
        if _free(node, pairs.paths):
            return node
    return None


def _free(node: Node, paired: Container[str]) -> bool:
    """Return whether neither a module nor any of its submodules is matched yet."""
    return not any(inner.module.path in paired for inner in iter_nodes(node))
