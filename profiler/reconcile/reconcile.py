"""Explain a peer's result: ours − claimed − Σ causes = unexplained, computed without rounding."""

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
    profile: Profile, facts: tuple[ModuleFacts, ...], peer: Peer, result: PeerResult | PeerFailure
) -> tuple[Finding, ...]:
    """Compare a peer's result with our profile of the same forward pass, and list the causes of each difference.

    Args:
        profile: Our count.
        facts: The facts about the modules in that forward pass; see ``count_with_facts``.
        peer: The peer, whose deviation rules are applied.
        result: What it counted, or why it failed.

    Returns:
        The total work first, then the work of each module that the peer reports; then the same for parameters, if the
        peer counts them. A failed peer yields one finding, without a claimed number.
    """
    if isinstance(result, PeerFailure):
        claim = Claim(peer.name, peer.version, TOTAL, peer.unit, None, result.error)
        return (Finding(claim, _ours(profile.totals, peer.unit)),)
    forward_pass = ForwardPass(profile.entries, facts, result.size_products)
    work = _findings(profile, peer, peer.unit, result.total, result.modules, _causes(peer, forward_pass, "work"))
    if result.params is None:
        return tuple(work)
    causes = _causes(peer, forward_pass, "params")
    return (*work, *_findings(profile, peer, _PARAMETER, result.params, result.module_params, causes))


def _findings(
    profile: Profile, peer: Peer, unit: str, total: Number, modules: dict[str, Number], causes: list[Cause]
) -> list[Finding]:
    """Compare the total and each module that the peer reports; a module unknown to us counts 0."""
    version = peer.version  # which takes milliseconds to find
    whole = Finding(Claim(peer.name, version, TOTAL, unit, total), _ours(profile.totals, unit), tuple(causes))
    totals = {path: node.total for path, node in profile.nodes.items()}
    return [whole] + [
        Finding(
            Claim(peer.name, version, path, unit, claimed),
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
    """Apply the deviation rules of a peer; return their causes, largest first."""
    causes = []
    for deviation in peer.deviations:
        contributions = _merged(deviation.rule(forward_pass)) if deviation.quantity == quantity else ()
        if contributions:
            causes.append(Cause(deviation.code, deviation.kind, deviation.why, contributions))
    return sorted(causes, key=lambda cause: (-abs(cause.amount), cause.code))


def _merged(contributions: Iterable[Contribution]) -> tuple[Contribution, ...]:
    """Sum the contributions of the same operator in the same module; drop those that sum to zero."""
    sums: dict[tuple[str, str], Exact] = {}
    for module, operator, amount in contributions:
        sums[module, operator] = sums.get((module, operator), 0) + amount
    return tuple(Contribution(*place, amount) for place, amount in sums.items() if amount)
