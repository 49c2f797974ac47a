"""The time of what ranks exchange, and of a step in which they do: latency and bandwidth (α-β) of a ring or a tree.

A collective takes a latency α for each of its steps, and its bytes at the rate β of the slowest link that it crosses.
A group that has several ranks in a server crosses the network with the network links of all of them.

Source: Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in MPICH (2005); the
latencies are those of NCCL's ring and tree with the Simple protocol: src/graph/tuning.cc, ``baseLat`` and ``hwLat``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING

from profiler.values.communication import wire_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.devices.server import Server
    from profiler.values.communication import Communication, Kind

#: Seconds to start a collective; for a step of a ring, and of a tree, on a fast link and on the network.
_START_S = 8.4e-6
_RING_S, _RING_NETWORK_S = 3.4e-6, 14e-6
_TREE_S = 28e-6
#: Axes whose exchanges a layer waits for; those of data parallelism run beside the computation.
_EXPOSED = frozenset({"tp", "pp", "cp", "ep"})


@dataclass(frozen=True, slots=True)
class Link:
    """What a collective crosses: seconds for each of its steps, and bytes per second of a rank in one direction."""

    ring_step_s: float
    bytes_per_s: float
    #: Whether it is the network.
    is_network: bool


@dataclass(frozen=True, slots=True)
class StepTime:
    """The time of a step, in seconds: no schedule is below ``bound_s``."""

    bound_s: float
    #: Everything overlaps with the computation.
    low_s: float
    #: What a layer waits for is added; the rest overlaps.
    estimate_s: float
    #: Nothing overlaps.
    high_s: float
    #: The idle time of a pipeline, relative to the time in which its stages are busy.
    bubble: float


def link_of(server: Server, ranks: tuple[int, ...]) -> Link:
    """Return the link that a group of ranks crosses, where ranks fill one server after the other.

    Example:
        >>> from profiler.devices.server import server_of
        >>> h100 = server_of("h100-sxm5-80gb")
        >>> link_of(h100, (0, 1, 7)).bytes_per_s, link_of(h100, (0, 8)).bytes_per_s, link_of(h100, tuple(range(16)))
        (450000000000.0, 50000000000.0, Link(ring_step_s=1.4e-05, bytes_per_s=400000000000.0, is_network=True))
    """
    members = Counter(rank // server.domain for rank in ranks)
    if len(members) <= 1:
        return Link(_RING_S, server.link_bytes_per_s, is_network=False)
    rails = min(members.values()) * server.network_bytes_per_s
    return Link(_RING_NETWORK_S, min(server.link_bytes_per_s, rails), is_network=True)


def collective_s(kind: Kind, payload_bytes: int, group_size: int, link: Link) -> float:
    """Return the seconds of one collective: of a ring, or for an all-reduce of a tree if that is faster.

    Example:
        >>> link = Link(1e-6, 1e9, is_network=False)
        >>> round(collective_s("all_gather", 10**9, 5, link), 4)  # 4 of 5 parts of a gigabyte
        0.8
    """
    if group_size < 2:  # noqa: PLR2004 - a rank alone exchanges nothing
        return 0.0
    if kind == "recv":
        return _START_S + payload_bytes / link.bytes_per_s
    ring = _START_S + _steps(kind, group_size) * link.ring_step_s + _bound_s(kind, payload_bytes, group_size, link)
    if kind != "all_reduce":
        return ring
    tree = _START_S + 2 * ceil(log2(group_size)) * _TREE_S + 2 * payload_bytes / link.bytes_per_s
    return min(ring, tree)


def step_time(
    rows: Iterable[Communication],
    server: Server,
    *,
    compute_bound_s: float,
    compute_s: float,
    stages: int = 1,
    microbatches: int = 1,
    chunks: int = 1,
) -> StepTime:
    """Return the time of a step of one rank.

    Args:
        rows: What the rank exchanges in the step.
        server: The links.
        compute_bound_s: Seconds below which no device of this kind computes the step.
        compute_s: Estimated seconds of the computation.
        stages: The ranks of the pipeline.
        microbatches: The microbatches of the step.
        chunks: The stages that each rank of the pipeline holds.
    """
    exchanged = list(rows)
    bounds: Counter[bool] = Counter()
    exposed = hidden = 0.0
    for row in exchanged:
        link = link_of(server, row.ranks)
        payload = row.payload_bytes // row.calls
        bounds[link.is_network] += row.calls * _bound_s(row.kind, payload, row.group_size, link)  # type: ignore[assignment] # a Counter of floats
        seconds = row.calls * collective_s(row.kind, payload, row.group_size, link)
        exposed += seconds if row.axis in _EXPOSED else 0.0
        hidden += 0.0 if row.axis in _EXPOSED else seconds
    bubble = (stages - 1) / (microbatches * chunks)
    busy = 1 + bubble
    return StepTime(
        bound_s=max(compute_bound_s * busy, *bounds.values(), 0.0),
        low_s=max(compute_s, exposed, hidden) * busy,
        estimate_s=max(compute_s + exposed, hidden) * busy,
        high_s=(compute_s + exposed + hidden) * busy,
        bubble=bubble,
    )


def _bound_s(kind: Kind, payload_bytes: int, group_size: int, link: Link) -> float:
    """Return the seconds of the bytes alone."""
    return wire_bytes(kind, payload_bytes, group_size) / link.bytes_per_s


def _steps(kind: Kind, group_size: int) -> int:
    if kind == "all_reduce":
        return 2 * (group_size - 1)
    return 1 if kind == "send" else group_size - 1
