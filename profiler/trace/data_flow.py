"""Log the order of the recorded calls, with the storages that each reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.trace.storage_ref import StorageRef
from profiler.values.data_flow import NO_STORAGE, DataFlow, OperatorStep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.trace.operator_calls import OperatorCall

#: The storages of a call's operands and of its results, in their order; None for a tensor without a storage.
CallStorages = tuple[list[StorageRef | None], list[StorageRef | None]]
#: Longer runs keep no data flow: its size grows with the calls, and not with the distinct ones.
_MAX_CALLS = 2**16


class FlowLog:
    """The calls of a session in their order. It holds weak references to storages, which keep no memory alive."""

    def __init__(self) -> None:
        """Start empty."""
        self._steps: list[tuple[OperatorCall, CallStorages]] = []
        self._is_full = False

    def add(self, calls: Iterable[OperatorCall], storages: Iterable[CallStorages]) -> None:
        """Append calls; drop all of them if they become too many."""
        if self._is_full:
            return
        self._steps.extend(zip(calls, storages, strict=True))
        if len(self._steps) > _MAX_CALLS:
            self._is_full = True
            self._steps.clear()

    def data_flow(self, records: Iterable[OperatorCall]) -> DataFlow | None:
        """Return the data flow, with the position of each call's record among *records*; None if it was too long."""
        if self._is_full:
            return None
        positions = {call: position for position, call in enumerate(records)}
        numbers = _StorageNumbers()
        return tuple(
            OperatorStep(positions[call], numbers.of(reads), numbers.of(writes))
            for call, (reads, writes) in self._steps
        )


class _StorageNumbers:
    """Numbers storages in the order in which they occur."""

    def __init__(self) -> None:
        #: By the ``id`` of the reference: a reference compares equal to others of its storage only while that lives.
        self._numbers: dict[int, int] = {}

    def of(self, storages: Iterable[StorageRef | None]) -> tuple[int, ...]:
        """Return the numbers of *storages*."""
        return tuple(
            NO_STORAGE if storage is None else self._numbers.setdefault(id(storage), len(self._numbers))
            for storage in storages
        )
