"""What a session recorded: a `Trace`, and the less of it that totals need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.trace.inventory import ModelInventory
    from profiler.values.communication import ProcessGroup
    from profiler.values.data_flow import DataFlow
    from profiler.values.memory import Memory, Moment
    from profiler.values.records import OpRecord, Shape, Value


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that a session recorded. It holds no tensor and no module."""

    #: The name of the model's class.
    model: str
    #: The arguments of the model's first call, by the parameter names of its ``forward``.
    inputs: tuple[tuple[str, Value], ...]
    inventory: ModelInventory
    #: The distinct operator calls, in the order of their first occurrence.
    records: tuple[OpRecord, ...]
    #: How often each module was called, by path.
    calls: dict[str, int]
    #: The shapes of the tensors among the arguments of each module's first call, and in its first output, by path.
    arguments: dict[str, tuple[Shape, ...]]
    outputs: dict[str, tuple[Shape, ...]]
    memory: Memory
    #: The calls of the records in their order, and the storages that each reads and writes; None if they were too many.
    flow: DataFlow | None = None
    #: The process groups of the collectives among the records.
    groups: tuple[ProcessGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class CallCounts:
    """What the totals of a trace need."""

    #: The distinct calls, each with the number of times that any module made it; the module is that of the first.
    records: tuple[OpRecord, ...]
    inventory: ModelInventory
    #: The moment of the most live memory.
    peak: Moment
