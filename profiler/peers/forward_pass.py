"""The input of the deviation rules: the costed records of a forward pass, and the facts about its modules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from profiler.tally.tally import cost_record
from profiler.values.findings import Contribution, is_under

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from profiler.tally import Entry
    from profiler.trace.composite_calls import CompositeCall
    from profiler.trace.module_facts import ModuleFacts
    from profiler.values.findings import Exact


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass as we recorded it."""

    entries: tuple[Entry, ...]
    facts: tuple[ModuleFacts, ...]
    #: What the peer counted for products of two sizes; see `PeerResult.size_products`.
    size_products: int = 0

    @cached_property
    def composite_calls(self) -> tuple[CompositeCall, ...]:
        """The operators as Python called them: composite ones are not decomposed."""
        return tuple(call for facts in self.facts for call in facts.composite_calls)

    @cached_property
    def distributed_calls(self) -> tuple[CompositeCall, ...]:
        """The operators on distributed tensors as Python called them, with the shapes of the whole tensors."""
        return tuple(call for facts in self.facts for call in facts.distributed_calls)

    @cached_property
    def by_path(self) -> dict[str, ModuleFacts]:
        """The facts of each module, under every path of a shared module."""
        return {path: facts for facts in self.facts for path in facts.paths}

    def module(self, path: str) -> ModuleFacts | None:
        """Return the facts of the module at *path*; None for work outside the model."""
        return self.by_path.get(path)

    def ancestors(self, path: str) -> Iterator[ModuleFacts]:
        """Yield the module at *path* and the modules that contain it, innermost first."""
        while True:
            facts = self.by_path.get(path)
            if facts is not None:
                yield facts
            if not path:
                return
            path = path.rpartition(".")[0]

    def under(self, path: str) -> Iterator[Entry]:
        """Yield the entries of a module and of all modules in it."""
        return (entry for entry in self.entries if is_under(entry.record.module, path))

    def at(self, path: str) -> Iterator[Entry]:
        """Yield the entries of a module itself, without those of its children."""
        return (entry for entry in self.entries if entry.record.module == path)


def composite_macs(call: CompositeCall) -> int:
    """Return our MACs of one call of an operator, as the sum of the operators that it is decomposed into."""
    return sum(part.calls * cost_record(part).macs for part in call.parts)


def contributions(entries: Iterable[Entry], amount: Callable[[Entry], Exact]) -> Iterator[Contribution]:
    """Yield a contribution for each entry: *amount* of one call, times its calls."""
    return (Contribution(e.record.module, e.record.packet, e.record.calls * amount(e)) for e in entries)


def mac_contributions(entries: Iterable[Entry]) -> Iterator[Contribution]:
    """Yield the MACs of entries that a peer does not count at all."""
    return contributions(entries, lambda entry: entry.macs)
