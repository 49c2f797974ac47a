"""Other counters ("peers"): how to run each, what its numbers mean, and how it is known to deviate from our count.

Each peer has one file in ``adapters/``. A peer runs in a process of its own and never sees our count.
"""

from profiler.peers.forward_pass import ForwardPass
from profiler.peers.peer import Peer, PeerFailure, PeerResult
from profiler.peers.registry import all_peers, find_peer, select_peers
from profiler.peers.runner import LiveModel, PickledModel, run_peer, run_peers
from profiler.peers.worker_pool import WorkerPool

__all__ = [
    "ForwardPass",
    "LiveModel",
    "Peer",
    "PeerFailure",
    "PeerResult",
    "PickledModel",
    "WorkerPool",
    "all_peers",
    "find_peer",
    "run_peer",
    "run_peers",
    "select_peers",
]
