"""What the rules of departures look at: our entries, and the facts of the modules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from profiler.values.findings import Contribution, is_under

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from profiler.tally import Entry
    from profiler.trace.composite_calls import CompositeCall
    from profiler.trace.module_facts import ModuleFacts


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass, as we saw it."""

    entries: tuple[Entry, ...]
    facts: tuple[ModuleFacts, ...]

    @cached_property
    def composite_calls(self) -> tuple[CompositeCall, ...]:
        """The operators that Python called, composite ones not yet taken apart."""
        return tuple(whole for facts in self.facts for whole in facts.composite_calls)

    @cached_property
    def by_path(self) -> dict[str, ModuleFacts]:
        """The facts under every name of every module."""
        return {name: facts for facts in self.facts for name in facts.paths}

    def module(self, path: str) -> ModuleFacts | None:
        """Give the facts of the module at *path*; None for work outside the model."""
        return self.by_path.get(path)

    def ancestors(self, path: str) -> Iterator[ModuleFacts]:
        """Yield the module at *path* and those around it, nearest first."""
        while True:
            facts = self.by_path.get(path)
            if facts is not None:
                yield facts
            if not path:
                return
            path = path.rpartition(".")[0]

    def under(self, path: str) -> Iterator[Entry]:
        """Yield the entries of a module and of all below it."""
        return (entry for entry in self.entries if is_under(entry.record.module, path))

    def at(self, path: str) -> Iterator[Entry]:
        """Yield the entries of a module itself."""
        return (entry for entry in self.entries if entry.record.module == path)


def macs(entries: Iterable[Entry]) -> Iterator[Contribution]:
    """Share out the MACs of entries that a peer leaves out altogether."""
    return (Contribution(e.record.module, e.record.packet, e.record.calls * e.macs) for e in entries)
