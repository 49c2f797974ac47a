"""Look up the peers: every module in ``peers/adapters/`` defines one, as ``PEER``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from profiler.errors import UnknownNameError
from profiler.peers import adapters
from profiler.util.autoload import import_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profiler.peers.peer import Peer

#: The name that stands for all installed peers.
ALL = "all"


@cache
def all_peers() -> Mapping[str, Peer]:
    """Return every peer by its name, installed or not, in alphabetical order."""
    peers: list[Peer] = [module.PEER for module in import_all(adapters)]
    return {peer.name: peer for peer in sorted(peers, key=lambda peer: peer.name)}


def find_peer(name: str) -> Peer:
    """Return the peer with this name.

    Raises:
        UnknownNameError: There is no such peer.

    Example:
        >>> find_peer("flop_counter").unit
        'FLOP'
    """
    peers = all_peers()
    if name not in peers:
        kind = "peer"
        raise UnknownNameError(kind, name, peers)
    return peers[name]


def select_peers(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of peers without duplicates; "all" is replaced by every installed peer.

    Raises:
        UnknownNameError: There is no such peer.

    Example:
        >>> select_peers(["torch_profiler", "flop_counter", "torch_profiler"])
        ('torch_profiler', 'flop_counter')
    """
    selected: list[str] = []
    for name in names:
        selected += _installed_peers() if name == ALL else [find_peer(name).name]
    return tuple(dict.fromkeys(selected))


def _installed_peers() -> list[str]:
    return [name for name, peer in all_peers().items() if peer.installed]
