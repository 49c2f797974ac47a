"""Look up the peers: every module in ``peers/adapters/`` defines one, as ``PEER``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from profiler.errors import UnknownNameError
from profiler.peers import adapters
from profiler.util.autoload import import_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.peers.peer import Peer


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
