"""The time of what ranks exchange, and of a step in which they do: latency and bandwidth (α-β) of a ring or a tree.

A collective takes a latency α for each of its steps, and its bytes at the rate β of the slowest link that it crosses.
A group that has several ranks in a server crosses the network with the network links of all of them. A fast link
carries the headers of its protocol too: NCCL gets 370 of the 450 GB/s of NVLink 4.

Source: Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in MPICH (2005); the
latencies are those of NCCL's ring and tree with the Simple protocol: src/graph/tuning.cc, ``baseLat`` and ``hwLat``;
the rate of NVLink is that of NCCL's author: https://github.com/NVIDIA/nccl-tests/issues/212.
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
#: The share of the rate of a fast link that a collective gets.
_FAST_LINK_SHARE = 370 / 450
#: Axes whose exchanges a layer waits for; those of data parallelism run beside the computation.
_EXPOSED = frozenset({"tp", "pp", "cp", "ep"})


@dataclass(frozen=True, slots=True)
class Link:
    """What a collective crosses: seconds for each of its steps, and bytes per second of a rank in one direction."""

    ring_step_s: float
    #: The rate of the link, and what a collective gets of it.
    bytes_per_s: float
    effective_bytes_per_s: float
    #: Whether it is the network.
    is_network: bool


@dataclass(frozen=True, slots=True)
class ComputeTime:
    """The time of the computation of a step, in seconds: bound, estimate, and the range of the estimate."""

    bound_s: float
    low_s: float
    estimate_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class StepTime:
    """The time of a step, in seconds: no schedule is below ``bound_s``."""

    bound_s: float
    #: Everything overlaps with the computation, which is as fast as its range says.
    low_s: float
    #: What a layer waits for is added; the rest overlaps.
    estimate_s: float
    #: Nothing overlaps, and the computation is as slow as its range says.
    high_s: float
    #: The idle time of a pipeline, relative to the time in which its stages are busy.
    bubble: float


def link_of(server: Server, ranks: tuple[int, ...]) -> Link:
    """Return the link that a group of ranks crosses, where ranks fill one server after the other.

    Example:
        >>> from profiler.devices.server import server_of
        >>> h100 = server_of("h100-sxm5-80gb")
        >>> link_of(h100, (0, 1, 7)).bytes_per_s, link_of(h100, (0, 8)).bytes_per_s
        (450000000000.0, 50000000000.0)
        >>> link_of(h100, tuple(range(16))).effective_bytes_per_s  # eight links of the network, or one NVLink
        370000000000.0
    """
    members = Counter(rank // server.domain for rank in ranks)
    fast = server.link_bytes_per_s
    effective = _FAST_LINK_SHARE * fast
    if len(members) <= 1:
        return Link(_RING_S, fast, effective, is_network=False)
    rails = min(members.values()) * server.network_bytes_per_s
    return Link(_RING_NETWORK_S, min(fast, rails), min(effective, rails), is_network=True)


def collective_s(kind: Kind, payload_bytes: int, group_size: int, link: Link) -> float:
    """Return the seconds of one collective: of a ring, or for an all-reduce of a tree if that is faster.

    Example:
        >>> link = Link(1e-6, 1e9, 1e9, is_network=False)
        >>> round(collective_s("all_gather", 10**9, 5, link), 4)  # 4 of 5 parts of a gigabyte
        0.8
    """
    if group_size < 2:  # noqa: PLR2004 - a rank alone exchanges nothing
        return 0.0
    if kind == "recv":
        return _START_S + payload_bytes / link.effective_bytes_per_s
    transfer_s = wire_bytes(kind, payload_bytes, group_size) / link.effective_bytes_per_s
    ring = _START_S + _steps(kind, group_size) * link.ring_step_s + transfer_s
    if kind != "all_reduce":
        return ring
    tree = _START_S + 2 * ceil(log2(group_size)) * _TREE_S + 2 * payload_bytes / link.effective_bytes_per_s
    return min(ring, tree)


def step_time(
    rows: Iterable[Communication],
    server: Server,
    *,
    compute: ComputeTime,
    stages: int = 1,
    microbatches: int = 1,
    chunks: int = 1,
) -> StepTime:
    """Return the time of a step of one rank.

    Args:
        rows: What the rank exchanges in the step.
        server: The links.
        compute: The time of the computation alone.
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
    bound_s = max(compute.bound_s * busy, *bounds.values(), 0.0)
    return StepTime(
        bound_s=bound_s,
        low_s=max(max(compute.low_s, exposed, hidden) * busy, bound_s),
        estimate_s=max(max(compute.estimate_s + exposed, hidden) * busy, bound_s),
        high_s=max((compute.high_s + exposed + hidden) * busy, bound_s),
        bubble=bubble,
    )


def _bound_s(kind: Kind, payload_bytes: int, group_size: int, link: Link) -> float:
    """Return the seconds of the bytes alone; a switch that adds up needs the payload of an all-reduce once.

    Source: with NVLink SHARP an all-reduce of 8 H100 is faster than the links in a ring: 480 for 450 GB/s
    (https://github.com/NVIDIA/nccl-tests/issues/212).
    """
    sent = payload_bytes if kind == "all_reduce" else wire_bytes(kind, payload_bytes, group_size)
    return sent / link.bytes_per_s if group_size > 1 else 0.0


def _steps(kind: Kind, group_size: int) -> int:
    if kind == "all_reduce":
        return 2 * (group_size - 1)
    return 1 if kind == "send" else group_size - 1
