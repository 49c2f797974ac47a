"""The difference of two profiles: figures, phases, operators, memory, and the modules where they changed.

What is listed is sorted by its effect: FLOPs first, then bytes, then parameters.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from profiler.errors import BudgetError
from profiler.guard.metrics import WORK, Metric, Place, amounts, peak_memory
from profiler.guard.module_matching import ModuleMapping
from profiler.tally.figures import HELD
from profiler.values.records import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.guard.module_matching import Rename
    from profiler.tally import Profile

ChangeKind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Delta:
    """A figure before and after."""

    name: str
    before: int
    after: int

    @property
    def change(self) -> int:
        """After minus before."""
        return self.after - self.before


class Change(NamedTuple):
    """A figure in one place, before and after; for a renamed module, the place has the new path."""

    place: Place
    before: int
    after: int
    kind: ChangeKind = "changed"
    #: The old path of a renamed module.
    was: str | None = None

    @property
    def change(self) -> int:
        """After minus before."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class OperatorChange:
    """The changed figures of an operator in one dtype."""

    operator: str
    dtype: str
    deltas: tuple[Delta, ...]


@dataclass(frozen=True, slots=True)
class ModuleChange:
    """The changed figures of a module's own work; an added or removed module includes its submodules."""

    kind: ChangeKind
    path: str
    type: str
    deltas: tuple[Delta, ...]
    #: By operator, as far as it is work of operators.
    operators: tuple[OperatorChange, ...]
    #: The old path of a renamed module.
    was: str | None = None


@dataclass(frozen=True)
class Difference:
    """Two profiles and their differences."""

    before: Profile
    after: Profile
    mapping: ModuleMapping

    @property
    def is_empty(self) -> bool:
        """Whether no figure changed; other versions, inputs or devices alone are no difference."""
        return not (self.modules or self.operators or self.moves or any(d.change for d in self.memory))

    @property
    def moves(self) -> tuple[Rename, ...]:
        """The modules that do the same work under another path."""
        return self.mapping.moves

    @cached_property
    def totals(self) -> tuple[Delta, ...]:
        """Every figure of the whole profiles."""
        return tuple(d for d in _summed(self._changes) if d.before or d.after)

    @cached_property
    def phases(self) -> dict[str, tuple[Delta, ...]]:
        """The changed figures by phase."""
        phases = {}
        for phase in PHASES:
            one, other = self.before.phases[phase], self.after.phases[phase]
            phases[phase] = _changed(Delta(name, getattr(one, name), getattr(other, name)) for name in WORK)
        return {phase: deltas for phase, deltas in phases.items() if deltas}

    @cached_property
    def memory(self) -> tuple[Delta, ...]:
        """The peak memory by category; empty if one of the profiles has none."""
        try:
            before, after = peak_memory(self.before), peak_memory(self.after)
        except BudgetError:
            return ()
        deltas = (Delta(name, before.get(name, 0), after.get(name, 0)) for name in {**before, **after})
        return tuple(delta for delta in deltas if delta.before or delta.after)

    @cached_property
    def operators(self) -> tuple[OperatorChange, ...]:
        """The operators that changed, over all modules."""
        return _operators(self._changes)

    @cached_property
    def modules(self) -> tuple[ModuleChange, ...]:
        """The modules that were added or removed, or whose work changed."""
        groups: defaultdict[tuple[ChangeKind, str], list[tuple[str, Change]]] = defaultdict(list)
        for name, change in self._changes:
            groups[change.kind, self._outermost(change.kind, change.place.module)].append((name, change))
        for path in self.mapping.added:  # also those without any work
            groups["added", self._outermost("added", path)] += []
        for path in self.mapping.removed:
            groups["removed", self._outermost("removed", path)] += []
        modules = (self._module(kind, path, changes) for (kind, path), changes in groups.items())
        listed = (module for module in modules if module.deltas or module.kind != "changed")
        return tuple(sorted(listed, key=lambda m: (*_effect(m.deltas), m.path, m.kind)))

    @cached_property
    def _changes(self) -> tuple[tuple[str, Change], ...]:
        """Every figure in every place, unchanged ones included."""
        names = (*WORK, *HELD)
        return tuple((n, c) for n in names for c in pair(self.before, self.after, Metric(n), self.mapping))

    def _module(self, kind: ChangeKind, path: str, changes: list[tuple[str, Change]]) -> ModuleChange:
        was = next((old for old, new in self.mapping.paths.items() if new == path), path)
        old, new = self.before.nodes.get(was), self.after.nodes.get(path)
        types = [node.module.type for node in (old, new) if node is not None]
        if kind != "changed":
            was, types = path, [(self.after if kind == "added" else self.before).nodes[path].module.type]
        moved = None if was == path else was
        kinds = " → ".join(dict.fromkeys(types))
        return ModuleChange(kind, path, kinds, _changed(_summed(changes)), _operators(changes), moved)

    def _outermost(self, kind: ChangeKind, path: str) -> str:
        """Return the outermost added or removed module that contains *path*."""
        paths = {"added": self.mapping.added, "removed": self.mapping.removed}.get(kind, frozenset())
        while path and (parent := path.rpartition(".")[0]) in paths:
            path = parent
        return path


def diff(before: Profile, after: Profile) -> Difference:
    """Compare two profiles.

    Example:
        >>> import torch, profiler
        >>> x = torch.empty(1, 4, device="meta")
        >>> one, two = (profiler.count(torch.nn.Linear(4, n, device="meta"), x) for n in (5, 6))
        >>> diff(one, two).totals[0]
        Delta(name='macs', before=20, after=24)
    """
    return Difference(before, after, ModuleMapping.of(before, after))


def changes(before: Profile, after: Profile, metric: Metric, mapping: ModuleMapping) -> tuple[Change, ...]:
    """Return the places where one figure changed, largest change first."""
    changed = [change for change in pair(before, after, metric, mapping) if change.change]
    return tuple(sorted(changed, key=lambda c: (-abs(c.change), c)))


def pair(before: Profile, after: Profile, metric: Metric, mapping: ModuleMapping) -> list[Change]:
    """Return the value of a figure in each place, before and after."""
    was = {new: old for old, new in mapping.paths.items() if old != new}
    new = amounts(after, metric)
    changes = []
    for place, amount in amounts(before, metric).items():
        if place.module in mapping.removed:
            changes.append(Change(place, amount, 0, "removed"))
            continue
        now = place._replace(module=mapping.paths.get(place.module, place.module))
        changes.append(Change(now, amount, new.pop(now, 0), "changed", was.get(now.module)))
    for place, amount in new.items():
        kind: ChangeKind = "added" if place.module in mapping.added else "changed"
        changes.append(Change(place, 0, amount, kind, was.get(place.module)))
    return changes


def _summed(changes: Iterable[tuple[str, Change]]) -> tuple[Delta, ...]:
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for name, change in changes:
        before[name] += change.before
        after[name] += change.after
    return tuple(Delta(name, before[name], after[name]) for name in before)


def _changed(deltas: Iterable[Delta]) -> tuple[Delta, ...]:
    return tuple(delta for delta in deltas if delta.change)


def _operators(changes: Iterable[tuple[str, Change]]) -> tuple[OperatorChange, ...]:
    groups: defaultdict[tuple[str, str], list[tuple[str, Change]]] = defaultdict(list)
    for name, change in changes:
        if name in WORK:
            groups[change.place.operator, change.place.dtype].append((name, change))
    operators = (OperatorChange(*key, _changed(_summed(group))) for key, group in groups.items())
    return tuple(sorted((o for o in operators if o.deltas), key=lambda o: (*_effect(o.deltas), o.operator, o.dtype)))


def _effect(deltas: Iterable[Delta]) -> tuple[int, ...]:
    by_name = {delta.name: abs(delta.change) for delta in deltas}
    moved = by_name.get("bytes_read", 0) + by_name.get("bytes_written", 0)
    return -by_name.get("flops", 0), -moved, -by_name.get("params", 0)
