"""The other counters: how each is run, what it claims, and how it is known to depart from our conventions.

One file a peer. A peer runs in a process of its own and never sees our count.
"""

from profiler.peers.forward_pass import ForwardPass
from profiler.peers.peer import Peer, PeerFailure, PeerResult, find, peers
from profiler.peers.runner import LiveModel, PickledModel, run_peer, run_peers

__all__ = [
    "ForwardPass",
    "LiveModel",
    "Peer",
    "PeerFailure",
    "PeerResult",
    "PickledModel",
    "find",
    "peers",
    "run_peer",
    "run_peers",
]
