"""What the ranks of a distributed run exchange: process groups, and the rows of the table of communication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from profiler.values.records import Phase

Kind = Literal[
    "all_reduce",
    "all_gather",
    "reduce_scatter",
    "all_to_all",
    "broadcast",
    "reduce",
    "gather",
    "scatter",
    "send",
    "recv",
]
#: The axis of a process group that cannot be resolved any more.
UNKNOWN_AXIS = "?"


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """A process group that took part in a run."""

    #: The name that torch gives it.
    name: str
    #: The dimension of the device mesh that it belongs to, such as "tp"; "world" for the default group.
    axis: str
    #: The global ranks in it.
    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Communication:
    """All collectives, or point-to-point transfers, of one kind in one group, by one module in one phase."""

    kind: Kind
    axis: str
    group_size: int
    ranks: tuple[int, ...]
    dtype: str
    calls: int
    #: Bytes of the whole buffers: of what is gathered, of what is reduced, of what is sent.
    payload_bytes: int
    #: Bytes that this rank sends to others, by the algorithm that `wire_bytes` names.
    wire_bytes: int
    module: str
    phase: Phase


def wire_bytes(kind: Kind, payload_bytes: int, group_size: int) -> int:
    """Return the bytes that one rank sends to others in a collective of *group_size* ranks.

    A ring moves an all-reduce as a reduce-scatter and an all-gather: each rank sends n − 1 of the n parts of the
    payload, twice. An all-to-all sends each other rank its part. The root of a broadcast or a reduction is not told
    apart: in a pipelined ring every rank passes the payload on once. What is received is not counted, so a receive
    is 0.

    Source: Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in MPICH (2005),
    sections 4.1 to 4.5; NCCL-tests, doc/PERFORMANCE.md (bus bandwidth).

    Example:
        >>> wire_bytes("all_reduce", 1024, 4), wire_bytes("all_gather", 1024, 4), wire_bytes("send", 1024, 2)
        (1536, 768, 1024)
    """
    if group_size < 2 or kind == "recv":  # noqa: PLR2004 - alone, a rank sends nothing
        return 0
    if kind in {"broadcast", "reduce", "send"}:
        return payload_bytes
    rounds = 2 if kind == "all_reduce" else 1
    return rounds * (group_size - 1) * payload_bytes // group_size
