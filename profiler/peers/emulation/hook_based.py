"""A model of the counters that hook modules: thop and ptflops.

Such a counter has a rule for each module class that it supports. It registers a hook on every module of these classes,
runs the model, and walks down the module tree from the root. At a module with a rule it takes what the hook counted and
does not look at the modules inside; the own work of a module without a rule is not counted. A shared module is visited
under each of its paths, but only once per parent.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from profiler.values.findings import CauseKind, Contribution, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from profiler.peers.forward_pass import ForwardPass
    from profiler.peers.peer import Peer
    from profiler.tally import Entry
    from profiler.trace.call_facts import ModuleCall
    from profiler.trace.module_facts import ModuleFacts

    #: Returns what a hook counts for one call of a module beyond our MACs, by the code of the deviation.
    HookRule = Callable[[ModuleFacts, ModuleCall], Mapping[str, Number]]


class Extra(NamedTuple):
    """A deviation of the hooks themselves: an amount that they count beyond our MACs, or leave out."""

    code: str
    kind: CauseKind
    why: str
    where: str


def register_extras(
    peer: Peer, extras: Iterable[Extra], emulate: Callable[[ForwardPass], HookCounterModel], versions: str
) -> None:
    """Register the deviations of a peer's hooks; *emulate* returns the model of the counter for a forward pass."""

    def rule(code: str) -> Callable[[ForwardPass], Iterator[Contribution]]:
        return lambda forward_pass: emulate(forward_pass).extras(code)

    for code, kind, why, where in extras:
        peer.deviates(code, kind, why, where=where, versions=versions)(rule(code))


class MissReason(Enum):
    """Why no hook counts an operator."""

    #: Its module is of a ``torch.nn`` class without a rule.
    NO_RULE = auto()
    #: Its module is of a class that inherits from a class with a rule.
    SUBCLASS = auto()
    #: Its module has a rule but is inside another module with a rule, whose count replaces it.
    INSIDE_RULED = auto()
    #: The model's own code calls it.
    FUNCTIONAL = auto()


@dataclass(frozen=True)
class HookCounterModel:
    """Emulates such a counter on a recorded forward pass."""

    forward_pass: ForwardPass
    #: The rule of each supported class, by its qualified name.
    rules: Mapping[str, HookRule]
    #: Classes whose children are visited although they have a rule.
    transparent: frozenset[str] = frozenset()
    #: Whether a shared module is hooked once for each of its paths, so that a call counts several times.
    hooks_each_path: bool = False

    def has_rule(self, facts: ModuleFacts) -> bool:
        """Return whether the counter has a rule for a module and takes its count for everything inside."""
        return facts.type in self.rules and facts.type not in self.transparent

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The child paths of each path, each module once per parent."""
        children: dict[str, dict[int, str]] = defaultdict(dict)
        for path, facts in self.forward_pass.by_path.items():
            if path:
                children[path.rpartition(".")[0]].setdefault(id(facts), path)
        return {path: list(below.values()) for path, below in children.items()}

    @cached_property
    def visited(self) -> dict[str, ModuleFacts]:
        """The modules that the walk visits, by path; it does not enter modules with a rule."""
        visited, pending = {}, [""]
        while pending:
            path = pending.pop()
            visited[path] = facts = self.forward_pass.by_path[path]
            if not self.has_rule(facts):
                pending += reversed(self.children.get(path, ()))
        return visited

    @cached_property
    def counted(self) -> dict[str, ModuleFacts]:
        """The visited modules that have a rule, by path."""
        return {path: facts for path, facts in self.visited.items() if self.has_rule(facts)}

    @cached_property
    def paths(self) -> dict[int, list[str]]:
        """The paths under which each counted module is visited, by the ``id`` of its facts."""
        paths: dict[int, list[str]] = defaultdict(list)
        for path, facts in self.counted.items():
            paths[id(facts)].append(path)
        return paths

    @cached_property
    def distinct_modules(self) -> list[tuple[str, ModuleFacts]]:
        """The counted modules, each once, with the first path under which it is visited."""
        return [(path, facts) for path, facts in self.counted.items() if self.paths[id(facts)][0] == path]

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """The entries of each module, by its path."""
        entries: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.forward_pass.entries:
            entries[entry.record.module].append(entry)
        return entries

    def is_inside_counted(self, path: str) -> bool:
        """Return whether a module is counted or is inside a counted module."""
        return any(id(facts) in self.paths for facts in self.forward_pass.ancestors(path))

    @property
    def total(self) -> Number:
        """The sum of all hook counts, each once for every path of its module."""
        return sum(self._hook_count(facts) * len(self.paths[id(facts)]) for _, facts in self.distinct_modules)

    def _hook_count(self, facts: ModuleFacts) -> Number:
        """Return what the hook of a module counts over all calls: our MACs and the extras."""
        return sum(self._macs(facts, path) for path in facts.paths) + self._extra(facts)

    def _extra(self, facts: ModuleFacts) -> Number:
        return sum(times * sum(self.rules[facts.type](facts, call).values()) for call, times in facts.calls)

    def extras(self, code: str) -> Iterator[Contribution]:
        """Yield what the hooks count beyond our MACs under the deviation *code*, as ours minus theirs."""
        for path, facts in self.distinct_modules:
            for call, times in facts.calls:
                amount = self.rules[facts.type](facts, call).get(code, 0)
                yield Contribution(path, self._operator(path, facts), -times * amount)

    def _operator(self, path: str, facts: ModuleFacts) -> str:
        """Return the name of a module's most expensive operator, or its class name if none ran."""
        costliest = max(self.entries.get(path, ()), key=lambda e: (e.macs, e.other_flops), default=None)
        return costliest.record.packet if costliest is not None else facts.type.rpartition(".")[2]

    def missed(self) -> Iterator[tuple[MissReason, Entry]]:
        """Yield the entries with MACs that no hook counts, each with the reason."""
        for entry in self.forward_pass.entries:
            facts = self.forward_pass.module(entry.record.module)
            if entry.macs and (facts is None or id(facts) not in self.paths or not self._covers(facts, entry)):
                yield self._reason(facts), entry

    def _reason(self, facts: ModuleFacts | None) -> MissReason:
        if facts is None or facts.type in self.transparent or id(facts) in self.paths:
            return MissReason.FUNCTIONAL
        if facts.type in self.rules:
            return MissReason.INSIDE_RULED
        if any(facts.is_a(name) for name in self.rules if name not in self.transparent):
            return MissReason.SUBCLASS
        return MissReason.NO_RULE if facts.type.startswith("torch.nn.modules.") else MissReason.FUNCTIONAL

    def _covers(self, facts: ModuleFacts, entry: Entry) -> bool:
        """Return whether a module's rule counts this operator; it does not count work added by, say, a weight norm."""
        class_name = facts.type.rpartition(".")[2]
        if "Conv" in class_name:
            return "conv" in entry.record.packet
        has_vector = entry.record.packet in {"aten.mv", "aten.dot", "aten.vdot"}
        return not has_vector or all(len(_input_shape(call)) == 1 for call, _ in facts.calls)

    def alias(self) -> Iterator[Contribution]:
        """Yield the differences caused by shared modules: visited under several paths, or under others than called.

        At each visited path the counter takes everything that the module's hooks counted, for calls from anywhere.
        """
        for path, facts in self.distinct_modules:
            visited = self.paths[id(facts)]
            if len(facts.paths) == 1:
                continue
            hooks = len(visited) if self.hooks_each_path else 1
            extra, claimed = self._extra(facts), self._hook_count(facts) * hooks
            for name in facts.paths:
                amount = self._macs(facts, name) + extra * (name == path) - claimed * (name in visited)
                yield Contribution(name, self._operator(path, facts), amount)

    def _macs(self, facts: ModuleFacts, path: str) -> int:
        """Return our MACs of the calls under one path that the module's rule counts."""
        return sum(e.record.calls * e.macs for e in self.entries.get(path, ()) if self._covers(facts, e))


def _input_shape(call: ModuleCall) -> tuple[int, ...]:
    return getattr(call.inputs[0], "shape", ()) if call.inputs else ()
