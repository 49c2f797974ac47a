"""What a peer is: how to run it, in which unit it answers, and its departures."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import profiler.peers.adapters as package
from profiler.errors import UnknownNameError
from profiler.util.autoload import import_all
from profiler.values.findings import CauseKind, Contribution, Deviation, Number, Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass

    RunPeer = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], "PeerResult"]
    Rule = Callable[[ForwardPass], Iterable[Contribution]]

_PEERS: dict[str, Peer] = {}


@dataclass(frozen=True, slots=True)
class PeerResult:
    """What a peer says of one forward pass."""

    #: The whole, in the peer's unit.
    total: Number
    #: The modules that it reports, by path; the root is "".
    modules: dict[str, Number] = field(default_factory=dict)
    #: The parameters, and those of the modules, where it counts them.
    params: Number | None = None
    module_params: dict[str, Number] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeerFailure:
    """A peer that gave no answer, in its own words."""

    error: str


class Peer:
    """A counter that is not ours."""

    def __init__(
        self, name: str, *, unit: str, distributions: tuple[str, ...], convention: str, install: str = ""
    ) -> None:
        """Enter a peer into the catalogue.

        Args:
            name: As users write it.
            unit: "MAC" or "FLOP": that of our number beside its own.
            distributions: Those that can stand behind its import, the most likely first; torch's own are ("torch",).
            convention: One sentence: what its number means.
            install: The command that installs it; of the first distribution, if not given.
        """
        self.name = name
        self.unit = unit
        self.distributions = distributions
        self.convention = convention
        self.install = install or f"pip install {distributions[0]}"
        self.deviations: list[Deviation] = []
        self._run: RunPeer | None = None
        _PEERS[name] = self

    def runs(self, function: RunPeer) -> RunPeer:
        """Take the decorated function for the one that runs the peer; it is called in a child process alone."""
        self._run = function
        return function

    def deviates(
        self, code: str, kind: CauseKind, why: str, *, where: str, seen: str, quantity: Quantity = "work"
    ) -> Callable[[Rule], Rule]:
        """Register the decorated rule as a departure of this peer."""

        def register(rule: Rule) -> Rule:
            self.deviations.append(Deviation(code, kind, why, where, seen, quantity, rule))
            return rule

        return register

    def run(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
        """Run the peer in this process, which it may change: for a child process."""
        assert self._run is not None, f"peer {self.name} has nothing that runs it"  # noqa: S101 - a file of ours is wrong
        return self._run(model, args, kwargs)

    @property
    def installed(self) -> tuple[str, str] | None:
        """The distribution that is installed, with its version."""
        for name in self.distributions:
            try:
                return name, metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None

    @property
    def version(self) -> str:
        """Who answers: the distribution and its version."""
        return " ".join(self.installed or ("not installed",))


def find(name: str) -> Peer:
    """Look a peer up.

    Raises:
        UnknownNameError: There is none of this name.
    """
    known = peers()
    if name not in known:
        kind = "peer"
        raise UnknownNameError(kind, name, known)
    return known[name]


def peers() -> dict[str, Peer]:
    """Give every peer by its name."""
    _load()
    return dict(sorted(_PEERS.items()))


@cache
def _load() -> None:
    import_all(package)
