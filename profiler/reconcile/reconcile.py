"""From a profile and a peer's answer to findings, in integers: ours − claimed − Σ causes = unexplained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.peers import ForwardPass, PeerFailure
from profiler.tally import Totals
from profiler.values.findings import TOTAL, Cause, Claim, Contribution, Exact, Finding, Number, Quantity, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.peers import Peer, PeerResult
    from profiler.tally import Profile
    from profiler.trace.module_facts import ModuleFacts

_PARAMETER = "parameter"


def reconcile(
    profile: Profile, facts: tuple[ModuleFacts, ...], peer: Peer, answer: PeerResult | PeerFailure
) -> tuple[Finding, ...]:
    """Explain what a peer says of the forward pass that *profile* counted: the total, the parameters, the modules."""
    if isinstance(answer, PeerFailure):
        claim = Claim(peer.name, peer.version, TOTAL, peer.unit, None, answer.error)
        return (Finding(claim, _ours(profile.totals, peer.unit)),)
    forward_pass = ForwardPass(profile.entries, facts)
    work = _findings(profile, peer, peer.unit, answer.total, answer.modules, _causes(peer, forward_pass, "work"))
    if answer.params is None:
        return tuple(work)
    missed = _causes(peer, forward_pass, "params")
    return (*work, *_findings(profile, peer, _PARAMETER, answer.params, answer.module_params, missed))


def _findings(
    profile: Profile, peer: Peer, unit: str, total: Number, modules: dict[str, Number], causes: list[Cause]
) -> list[Finding]:
    """Compare the whole, and each module that the peer reports; one that is none of ours did nothing here."""
    whole = Finding(Claim(peer.name, peer.version, TOTAL, unit, total), _ours(profile.totals, unit), tuple(causes))
    totals = {path: node.total for path, node in profile.nodes.items()}
    return [whole] + [
        Finding(
            Claim(peer.name, peer.version, path, unit, claimed),
            _ours(totals.get(path, Totals()), unit),
            within(causes, path),
        )
        for path, claimed in modules.items()
        if path
    ]


def _ours(totals: Totals, unit: str) -> int:
    if unit == _PARAMETER:
        return totals.params
    return totals.macs if unit == "MAC" else totals.flops


def _causes(peer: Peer, forward_pass: ForwardPass, quantity: Quantity) -> list[Cause]:
    """Apply the departures of a peer; the largest first."""
    found = []
    for deviation in peer.deviations:
        contributions = _joined(deviation.rule(forward_pass)) if deviation.quantity == quantity else ()
        if contributions:
            found.append(Cause(deviation.code, deviation.kind, deviation.why, contributions))
    return sorted(found, key=lambda cause: (-abs(cause.amount), cause.code))


def _joined(contributions: Iterable[Contribution]) -> tuple[Contribution, ...]:
    """Sum the shares of the same operator in the same module, and leave out what comes to nothing."""
    sums: dict[tuple[str, str], Exact] = {}
    for module, operator, amount in contributions:
        sums[module, operator] = sums.get((module, operator), 0) + amount
    return tuple(Contribution(*place, amount) for place, amount in sums.items() if amount)
