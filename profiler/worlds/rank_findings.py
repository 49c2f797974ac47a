"""Compare a rank with counters that can count distributed tensors, on one forward pass of the divided model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError, one_line
from profiler.peers import PeerFailure, PeerResult, find_peer
from profiler.reconcile.reconcile import reconcile
from profiler.tally import Profile, tally
from profiler.trace import Session
from profiler.trace.module_facts import collect_module_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

    from profiler.values.findings import Finding

#: The counters that can count a rank of a world.
COUNTERS = ("flop_counter",)


def check_counters(names: Iterable[str], *, has_rank: bool) -> None:
    """Raise if a counter cannot count a rank of a world, or no rank is chosen.

    Raises:
        InputError: Names what to do.
    """
    other = [name for name in names if name not in COUNTERS]
    if other:
        able = ", ".join(COUNTERS)
        msg = f"--against {other[0]} does not apply to the ranks of a world; with --rank, --against {able} does"
        raise InputError(msg)
    if not has_rank:
        msg = "--against compares one rank of a world; add --rank 0"
        raise InputError(msg)


def rank_findings(
    names: Sequence[str], model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Finding, ...]:
    """Return what counters claim of a forward pass of this rank, and why it differs from our count."""
    profiles: list[Profile] = []

    def run() -> object:
        with torch.no_grad():
            return model(*args, **kwargs)

    def count() -> None:
        with Session(model) as session:
            run()
        profiles.append(tally(session.trace()))

    facts = collect_module_facts(model, count, run)
    peers = [find_peer(name) for name in names]
    return tuple(
        finding
        for peer in peers
        for finding in reconcile(profiles[0], facts, peer, _claims(peer.name, model, args, kwargs))
    )


def _claims(name: str, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult | PeerFailure:
    try:
        return find_peer(name).run(model, args, kwargs)
    except Exception as error:  # noqa: BLE001 - any exception of a peer is reported as its failure
        return PeerFailure(one_line(error))
