"""What the rules of departures look at: our entries, and the facts of the modules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from profiler.claims import Share, is_under

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from profiler.tally import Entry
    from profiler.trace.facts import Facts
    from profiler.trace.whole import Whole


@dataclass(frozen=True)
class Scene:
    """One forward pass, as we saw it."""

    entries: tuple[Entry, ...]
    facts: tuple[Facts, ...]

    @cached_property
    def wholes(self) -> tuple[Whole, ...]:
        """The operators that Python called, composite ones not yet taken apart."""
        return tuple(whole for facts in self.facts for whole in facts.wholes)

    @cached_property
    def by_path(self) -> dict[str, Facts]:
        """The facts under every name of every module."""
        return {name: facts for facts in self.facts for name in facts.names}

    def module(self, path: str) -> Facts | None:
        """Give the facts of the module at *path*; None for work outside the model."""
        return self.by_path.get(path)

    def ancestors(self, path: str) -> Iterator[Facts]:
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


def macs(entries: Iterable[Entry]) -> Iterator[Share]:
    """Share out the MACs of entries that a peer leaves out altogether."""
    return (Share(e.record.module, e.record.packet, e.record.calls * e.macs) for e in entries)
