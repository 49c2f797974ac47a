"""Which module of one profile is which of another: by its path, or by the work that it does under a new one."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.guard.metrics import WORK
from profiler.tally import Totals

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterator

    from profiler.tally import Node, Profile


@dataclass(frozen=True, slots=True)
class Rename:
    """A module, with all that is in it, that does the same work under another path."""

    was: str
    now: str
    type: str


@dataclass(frozen=True, slots=True)
class ModuleMapping:
    """The modules that two profiles share."""

    #: From the path before to the path after; a module that is gone is not in it.
    paths: dict[str, str]
    #: The outermost modules that moved.
    moves: tuple[Rename, ...]
    #: The paths after of modules that are new.
    added: frozenset[str]
    #: The paths before of modules that are gone.
    removed: frozenset[str]

    @classmethod
    def of(cls, before: Profile, after: Profile) -> ModuleMapping:
        """Find the modules that do the same at the same path, then the same elsewhere, then something else there."""
        works = _WorkFingerprints()
        works.learn(before)
        works.learn(after)
        pairs = _Pairs()
        _match_in_place(before.tree, after.tree, works, pairs)
        moves = tuple(_match_elsewhere(before.tree, after.tree, works, pairs))
        for path in before.nodes:
            if path not in pairs.paths and path in after.nodes and path not in pairs.taken:
                pairs.paths[path] = path
        added = frozenset(after.nodes) - frozenset(pairs.paths.values())
        return cls(pairs.paths, moves, added, frozenset(before.nodes) - frozenset(pairs.paths))


class _WorkFingerprints:
    """Numbers the different trees of work, so that comparing two modules is comparing two numbers.

    A tree of work has no names in it: operators, dtypes, phases and costs, and the trees of its children in order.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}
        self._numbers: dict[int, int] = {}

    def learn(self, profile: Profile) -> None:
        own: defaultdict[str, Counter[Hashable]] = defaultdict(Counter)
        for entry in profile.entries:
            record, totals = entry.record, entry.totals
            for name in ("calls", *WORK):
                amount = record.calls if name == "calls" else getattr(totals, name)
                own[record.module][record.packet, entry.dtype, record.phase, name] += amount
        self._learn(profile.tree, own)

    def of(self, node: Node) -> int:
        return self._numbers[id(node)]

    def _learn(self, node: Node, own: defaultdict[str, Counter[Hashable]]) -> int:
        held = node.module.params, node.module.trainable_params, node.module.buffers
        children = tuple(self._learn(child, own) for child in node.children)
        work = frozenset(own[node.module.path].items()), held, children
        number = self._numbers[id(node)] = self._known.setdefault(work, len(self._known))
        return number


class _Pairs:
    """The pairs found so far."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self.taken: set[str] = set()

    def add(self, before: Node, after: Node) -> None:
        """Pair two modules."""
        self.paths[before.module.path] = after.module.path
        self.taken.add(after.module.path)


def _match_in_place(before: Node, after: Node, works: _WorkFingerprints, pairs: _Pairs) -> None:
    """Pair the modules that do the same under the same path."""
    if works.of(before) == works.of(after):
        pairs.add(before, after)
    named = {child.name: child for child in after.children}
    for child in before.children:
        if child.name in named:
            _match_in_place(child, named[child.name], works, pairs)


def _match_elsewhere(before: Node, after: Node, works: _WorkFingerprints, pairs: _Pairs) -> Iterator[Rename]:
    """Pair what is left and does the same work under another path, outermost first; what does no work stays."""
    left: defaultdict[int, deque[Node]] = defaultdict(deque)
    for node in _walk(before):
        if node.module.path not in pairs.paths and node.total != Totals():
            left[works.of(node)].append(node)
    for node in _walk(after):
        old = _next_free(left[works.of(node)], pairs) if _free(node, pairs.taken) else None
        if old is None:
            continue
        for one, other in zip(_walk(old), _walk(node), strict=True):
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
    """Say whether neither a module nor one in it is paired yet."""
    return not any(inner.module.path in paired for inner in _walk(node))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)
