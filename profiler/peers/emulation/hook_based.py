"""What the counters have in common that hook modules: a rule for each class, and a walk that adds up what it left.

Such a counter hooks every module of a class that it has a rule for, runs the model, and walks down from the root. Where
a module has a rule its count is taken, whatever is below it; where it has none its own work is nowhere. A module with
several names is met at each of them, but only once by the same parent.
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
    from profiler.trace.module_facts import ModuleCall, ModuleFacts

    #: What a hook counts beside our MACs, at one call: by the code of the departure.
    Extras = Callable[[ModuleFacts, ModuleCall], Mapping[str, Number]]


class Extra(NamedTuple):
    """A departure of the hooks themselves: something that they count beside our MACs."""

    code: str
    kind: CauseKind
    why: str
    where: str


def enter(peer: Peer, extras: Iterable[Extra], hooked: Callable[[ForwardPass], HookCounterModel], seen: str) -> None:
    """Enter departures of a peer's hooks."""

    def contributions(code: str) -> Callable[[ForwardPass], Iterator[Contribution]]:
        return lambda forward_pass: hooked(forward_pass).extras(code)

    for code, kind, why, where in extras:
        peer.deviates(code, kind, why, where=where, seen=seen)(contributions(code))


class MissReason(Enum):
    """Why no hook counts an operator."""

    #: Its module is of a class of torch that has no rule …
    NO_RULE = auto()
    #: … of a class that only inherits from one with a rule …
    SUBCLASS = auto()
    #: … or is below a module that has one, whose count stands for all.
    BELOW = auto()
    #: It is called by a model's own code.
    FUNCTIONAL = auto()


@dataclass(frozen=True)
class HookCounterModel:
    """A scene as such a counter goes through it."""

    forward_pass: ForwardPass
    #: The rules, by the qualified names of the classes.
    rules: Mapping[str, Extras]
    #: Classes that are gone through although they have a rule.
    open: frozenset[str] = frozenset()
    #: Whether a module with several names is hooked once for each, so that a call counts as often.
    hooks_each_name: bool = False

    def ruled(self, facts: ModuleFacts) -> bool:
        """Say whether the counter has a rule for a module, and takes its count for all that is below."""
        return facts.type in self.rules and facts.type not in self.open

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The paths below each path, each module once."""
        found: dict[str, dict[int, str]] = defaultdict(dict)
        for path, facts in self.forward_pass.by_path.items():
            if path:
                found[path.rpartition(".")[0]].setdefault(id(facts), path)
        return {path: list(below.values()) for path, below in found.items()}

    @cached_property
    def met(self) -> dict[str, ModuleFacts]:
        """The modules that the walk meets, by the paths on which it does; what is below one with a rule it does not."""
        return dict(self._walk(""))

    def _walk(self, path: str) -> Iterator[tuple[str, ModuleFacts]]:
        facts = self.forward_pass.by_path[path]
        yield path, facts
        if not self.ruled(facts):
            for child in self.children.get(path, ()):
                yield from self._walk(child)

    @cached_property
    def counted(self) -> dict[str, ModuleFacts]:
        """The modules whose own count is taken, by the paths on which it is."""
        return {path: facts for path, facts in self.met.items() if self.ruled(facts)}

    @cached_property
    def names(self) -> dict[int, list[str]]:
        """The paths on which each counted module is met."""
        found: dict[int, list[str]] = defaultdict(list)
        for path, facts in self.counted.items():
            found[id(facts)].append(path)
        return found

    @cached_property
    def modules(self) -> list[tuple[str, ModuleFacts]]:
        """The counted modules, each once, with the first path on which it is met."""
        return [(path, facts) for path, facts in self.counted.items() if self.names[id(facts)][0] == path]

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """The entries by the path of their module."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.forward_pass.entries:
            found[entry.record.module].append(entry)
        return found

    def inside(self, path: str) -> bool:
        """Say whether a module is counted, or below one that is."""
        return any(id(facts) in self.names for facts in self.forward_pass.ancestors(path))

    @property
    def sum(self) -> Number:
        """What all hooks together come to, at every path where they are added."""
        return sum(self._count(facts) * len(self.names[id(facts)]) for _, facts in self.modules)

    def _count(self, facts: ModuleFacts) -> Number:
        """Say what the hook of a module counts in all its calls: our MACs, and what it counts beside them."""
        return sum(self._own(facts, name) for name in facts.paths) + self._extra(facts)

    def _extra(self, facts: ModuleFacts) -> Number:
        return sum(calls * sum(self.rules[facts.type](facts, visit).values()) for visit, calls in facts.calls)

    def extras(self, code: str) -> Iterator[Contribution]:
        """Share out what the hooks count beside our MACs for the reason *code*."""
        for path, facts in self.modules:
            for visit, calls in facts.calls:
                amount = self.rules[facts.type](facts, visit).get(code, 0)
                yield Contribution(path, self.operator(path, facts), -calls * amount)

    def operator(self, path: str, facts: ModuleFacts) -> str:
        """Name the operator of a module that computes most, or else its class."""
        most = max(self.entries.get(path, ()), key=lambda e: (e.macs, e.other_flops), default=None)
        return most.record.packet if most is not None else facts.type.rpartition(".")[2]

    def missed(self) -> Iterator[tuple[MissReason, Entry]]:
        """Yield the entries with MACs that no hook counts, each with the reason."""
        for entry in self.forward_pass.entries:
            facts = self.forward_pass.module(entry.record.module)
            if entry.macs and (facts is None or id(facts) not in self.names or not self.sees(facts, entry)):
                yield self._reason(facts), entry

    def _reason(self, facts: ModuleFacts | None) -> MissReason:
        if facts is None or facts.type in self.open or id(facts) in self.names:
            return MissReason.FUNCTIONAL
        if facts.type in self.rules:
            return MissReason.BELOW
        if any(facts.is_a(name) for name in self.rules if name not in self.open):
            return MissReason.SUBCLASS
        return MissReason.NO_RULE if facts.type.startswith("torch.nn.modules.") else MissReason.FUNCTIONAL

    def sees(self, facts: ModuleFacts, entry: Entry) -> bool:
        """Say whether an operator inside a counted module is what its rule is of, and not work that was added to it."""
        word = facts.type.rpartition(".")[2]
        vector = entry.record.packet in {"aten.mv", "aten.dot", "aten.vdot"}
        if "Conv" in word:
            return "conv" in entry.record.packet
        return not vector or all(len(_shape(visit)) == 1 for visit, _ in facts.calls)

    def alias(self) -> Iterator[Contribution]:
        """Share out what comes of a module's being met on several paths, on others than it was called, or not at all.

        On each path the counter takes everything that its hooks counted, wherever the module was called from.
        """
        for path, facts in self.modules:
            met = self.names[id(facts)]
            if len(facts.paths) == 1:
                continue
            extra, counted = self._extra(facts), self._count(facts) * (len(met) if self.hooks_each_name else 1)
            for name in facts.paths:
                amount = self._own(facts, name) + extra * (name == path) - counted * (name in met)
                yield Contribution(name, self.operator(path, facts), amount)

    def _own(self, facts: ModuleFacts, path: str) -> int:
        return sum(e.record.calls * e.macs for e in self.entries.get(path, ()) if self.sees(facts, e))


def _shape(visit: ModuleCall) -> tuple[int, ...]:
    return getattr(visit.inputs[0], "shape", ()) if visit.inputs else ()
