"""What a peer is: how to run it, the unit of its numbers, and its known deviations from our count."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from profiler.values.findings import CauseKind, Contribution, Deviation, Number, Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass

    RunPeer = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], "PeerResult"]
    Rule = Callable[[ForwardPass], Iterable[Contribution]]


@dataclass(frozen=True, slots=True)
class PeerResult:
    """What a peer counted for one forward pass."""

    #: For the whole model, in the peer's unit.
    total: Number
    #: For each module that the peer reports, by its path; the root is "".
    modules: dict[str, Number] = field(default_factory=dict)
    #: The parameters of the model and of its modules, if the peer counts them.
    params: Number | None = None
    module_params: dict[str, Number] = field(default_factory=dict)
    #: What it counted for products of two sizes that it traced, such as ``h * w``: no operator runs for these.
    size_products: int = 0


@dataclass(frozen=True, slots=True)
class PeerFailure:
    """Why a peer gave no result: the message of its exception, or how its process ended."""

    error: str


class Peer:
    """Another counter that our count is compared with.

    Each file in ``peers/adapters/`` defines one, as ``PEER``, and decorates the function that runs the tool and the
    rules of its deviations.

    Example:
        >>> peer = Peer("example", unit="MAC", distributions=("torch",), convention="Multiply-adds of linear layers.")
        >>> @peer.runs
        ... def run(model, args, kwargs):
        ...     return PeerResult(24)
        >>> @peer.deviates("EX-CONV", CauseKind.UNSUPPORTED, "counts convolutions as 0", where="a.py", versions="1.0")
        ... def convolutions(forward_pass):
        ...     for entry in forward_pass.entries:
        ...         if entry.record.packet == "aten.convolution":
        ...             yield Contribution(entry.record.module, "aten.convolution", entry.record.calls * entry.macs)
        >>> peer.run(None, (), {}).total, [deviation.code for deviation in peer.deviations]
        (24, ['EX-CONV'])
    """

    def __init__(
        self, name: str, *, unit: str, distributions: tuple[str, ...], convention: str, install: str = ""
    ) -> None:
        """Describe a peer that has no known deviations yet.

        Args:
            name: The name that users write.
            unit: "MAC" or "FLOP": the unit of its counts, in which our count is shown beside them.
            distributions: The distributions that can provide its import, most likely first; ("torch",) if it is in
                torch itself.
            convention: One sentence that says what its number means.
            install: The command that installs it; by default ``pip install`` of the first distribution.
        """
        self.name = name
        self.unit = unit
        self.distributions = distributions
        self.convention = convention
        self.install = install or f"pip install {distributions[0]}"
        self.deviations: list[Deviation] = []
        self._run: RunPeer | None = None

    def runs(self, function: RunPeer) -> RunPeer:
        """Register the decorated function as the one that runs the peer; only a worker process calls it."""
        self._run = function
        return function

    def deviates(
        self, code: str, kind: CauseKind, why: str, *, where: str, versions: str, quantity: Quantity = "work"
    ) -> Callable[[Rule], Rule]:
        """Register the decorated rule as a known deviation of this peer.

        Args:
            code: Its unique name, such as "FCM-BIAS".
            kind: Its kind.
            why: What the peer does, as a phrase whose subject is the peer, without a full stop.
            where: The file and function of the peer that shows it.
            versions: The versions of the peer in which it was observed.
            quantity: Whether it changes the work or the number of parameters.

        Returns:
            A decorator for a rule: a function of a ``ForwardPass`` that yields our amount minus the peer's, module by
            module.
        """

        def register(rule: Rule) -> Rule:
            self.deviations.append(Deviation(code, kind, why, where, versions, quantity, rule))
            return rule

        return register

    def run(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
        """Run the peer in this process, which it may modify: call it in a worker process only."""
        assert self._run is not None, f"peer {self.name} has no function that runs it"  # noqa: S101 - a broken adapter
        return self._run(model, args, kwargs)

    @property
    def installed(self) -> tuple[str, str] | None:
        """Name and version of the installed distribution; None if there is none."""
        for name in self.distributions:
            try:
                return name, metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None

    @property
    def version(self) -> str:
        """The installed distribution and its version, as text."""
        return " ".join(self.installed or ("not installed",))
