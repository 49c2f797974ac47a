"""The other counters: how each is run, what it claims, and how it is known to depart from our conventions.

One file a peer. A peer runs in a process of its own and never sees our count.
"""

from profiler.peers.ask import Given, Subject, ask, ask_many
from profiler.peers.peer import Answer, Failure, Peer, find, peers
from profiler.peers.scene import Scene

__all__ = ["Answer", "Failure", "Given", "Peer", "Scene", "Subject", "ask", "ask_many", "find", "peers"]
