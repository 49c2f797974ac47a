"""The calls of operators of one session: first they wait, then they are counted by what distinguishes them."""

from __future__ import annotations

from collections import Counter
from threading import RLock
from typing import Any

from profiler.trace.argument_specs import SpecCache
from profiler.trace.data_flow import CallStorages, FlowLog
from profiler.trace.operator_calls import OperatorCall
from profiler.trace.storage_ref import Producer

#: A recorded call that is not yet counted: its producer, its arguments, the names of the keyword arguments at their
#: end, its result (several in a list), and the storages of its operands and results.
WaitingCall = tuple[Producer, list[Any], tuple[str, ...], Any, CallStorages]
#: So many calls wait until they are counted.
MAX_WAITING = 2**12


class CallLog:
    """Counts the distinct calls of operators. It holds no tensor."""

    def __init__(self) -> None:
        """Start without a call."""
        self.specs = SpecCache()
        #: Several threads may record: no other holds it while one counts.
        self.lock = RLock()
        self.waiting: list[WaitingCall] = []
        self.counted: Counter[OperatorCall] = Counter()
        self.flow = FlowLog()

    def count_waiting(self) -> None:
        """Count the calls that wait."""
        with self.lock:
            calls = [self._operator_call(waiting) for waiting in self.waiting]
            self.counted.update(calls)
            self.flow.add(calls, (waiting[-1] for waiting in self.waiting))
            self.waiting.clear()

    def _operator_call(self, waiting: WaitingCall) -> OperatorCall:
        """Return the key under which a recorded call is counted."""
        producer, items, names, results, _ = waiting
        specs, result = self.specs.specs(items), self.specs.spec(results)
        positional = len(specs) - len(names)
        return OperatorCall(*producer, specs[:positional], tuple(zip(names, specs[positional:], strict=True)), result)
