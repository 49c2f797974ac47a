"""Which storages live: made by which operator for which module, and kept for what.

A storage has one category for its whole life, known when it ends: it is a gradient once it was some parameter's
``.grad``, an optimizer's state once it stood in one, an activation if it was made in a forward pass and still lived
when a backward pass began, an input if it came with a call of the model or from outside. The rest is temporary.
"""

from __future__ import annotations

import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.memory_timeline import MemoryTimeline
from profiler.trace.module_stack import modules_of
from profiler.values.records import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

    from profiler.values.memory import Category, Memory


_COMPACTED = 2**16  # events that are kept as they are from one call of the model to the next
_MOST = 2**20  # and within one: once it is added up, a moment keeps the categories that were known until then
_BEFORE = "(before)"
#: From which phase to which something is kept.
_KEPT = {("forward", "backward"), ("forward", "recompute"), ("recompute", "backward")}
_FORWARD = frozenset({"forward", "recompute"})
#: What a tensor raises that has no storage of its own: a sparse, an opaque, one that is not initialised.
_NO_STORAGE = (RuntimeError, NotImplementedError, ValueError)
#: An operator, the path of the module that ran it, and the phase.
Producer = tuple[Any, str, Phase]


class StorageRef(weakref.ref[torch.UntypedStorage]):
    """A storage that was seen: a weak reference to it that still says what it was when it is gone."""

    __slots__ = ("bytes", "category", "counted", "gone", "key", "maker")

    bytes: int
    category: Category
    #: The category in which the course has it.
    counted: Category | None
    gone: bool
    key: int
    maker: Producer


class StorageTracker:
    """The live storages of one session. The storages themselves are held weakly.

    All of it runs in the model's own time. So what happens is only noted, and added up when it is asked for.
    """

    def __init__(self, model: nn.Module | None) -> None:
        """Follow what *model* holds, and what is made from here on."""
        self._model = model
        #: By address; one that is gone may stay here until another takes its place.
        self._live: dict[int, StorageRef] = {}
        #: Each storage when it came, and again when it went: its weak reference then puts itself here.
        self._events: list[StorageRef] = []
        #: The events of earlier starts.
        self._past: list[StorageRef] = []
        #: What was there when the session stopped: for another start, all of it is gone.
        self._left: list[StorageRef] = []
        self._fresh: list[StorageRef] = []
        self._phase: Phase = "forward"
        #: The maker of what nothing here made.
        self._before: Producer = "", _BEFORE, self._phase
        self._course = MemoryTimeline()
        self._activations: Counter[str] = Counter()
        self._backward = -1

    def start(self) -> None:
        """Take stock of what the model holds before anything runs."""
        self._past += self._left
        self._left = []
        if self._model is None:
            return
        modules = modules_of(self._model)
        self._hold((p for module in modules for p in module._parameters.values() if p is not None), "parameter")
        self._hold((b for module in modules for b in module._buffers.values() if b is not None), "buffer")
        self._hold(_gradients(modules), "gradient")

    def stop(self) -> None:
        """Look at the gradients once more, and let go: what comes and goes until the next start is not seen."""
        self.find_gradients()
        events, self._events = self._events, []
        self._past += events
        events.clear()  # what lives on still writes its end there
        self._left = list(self._live.values())
        self._live.clear()
        self._fresh.clear()

    def ran(self, maker: Producer, operands: Iterable[torch.Tensor], results: Iterable[torch.Tensor]) -> None:
        """See what an operator took and made. Of what it took, that which nothing here made came from outside."""
        if maker[2] != self._phase:
            self._turn(maker[2])
        if self._phase == "backward":
            self._await_gradients()
        for tensor in operands:
            try:
                known = self._live.get(tensor.untyped_storage()._cdata)
            except _NO_STORAGE:
                continue
            if known is None or known() is None:
                self._see(tensor, self._before, "input")
        for tensor in results:
            self._see(tensor, maker, "temporary")

    def asked(self, values: Any) -> None:
        """See the inputs of a call of the model, wherever they were made; a good moment to forget old events."""
        for value in _tensors(values):
            stored = self._see(value, self._before, "input")
            if stored is not None and stored.category == "temporary" and stored.maker[2] == "forward":
                self._file(stored, "input")
        self.forget(_COMPACTED)

    def forget(self, most: int = _MOST) -> None:
        """Add up the events, and forget them, if there are too many."""
        if len(self._past) + len(self._events) > most:
            self._compact()

    def find_gradients(self) -> None:
        """Know the parameters' gradients as such."""
        if self._model is not None:
            self._hold(_gradients(modules_of(self._model)), "gradient")

    def find_states(self, optimizer: torch.optim.Optimizer) -> None:
        """Know what an optimizer keeps, and the gradients that it takes."""
        groups = (p for group in optimizer.param_groups for p in group["params"])
        self._hold((p.grad for p in groups if p.grad is not None), "gradient")
        self._hold(_tensors(list(optimizer.state.values())), "optimizer_state")

    def memory(self) -> Memory:
        """Say what was live, and when."""
        self._compact()
        return self._course.memory(dict(self._activations))

    def _await_gradients(self) -> None:
        """Look at the gradients when this backward pass ends; the engine calls back."""
        task = torch._C._current_graph_task_id()
        if task not in {-1, self._backward}:
            self._backward = task
            torch.autograd.Variable._execution_engine.queue_callback(self.find_gradients)

    def _hold(self, tensors: Iterable[torch.Tensor], category: Category) -> None:
        for tensor in tensors:
            stored = self._see(tensor, self._before, category)
            if stored is not None and stored.category not in {category, "parameter", "buffer"}:
                self._file(stored, category)

    def _file(self, stored: StorageRef, category: Category) -> None:
        """Put a storage into its final category."""
        stored.category = category
        self._course.move(stored)

    def _see(self, tensor: torch.Tensor, maker: Producer, category: Category) -> StorageRef | None:
        """Give what is known of a tensor's storage. One that is new has from now on this maker and this category."""
        try:
            storage = tensor.untyped_storage()
        except _NO_STORAGE:
            return None
        key, size = storage._cdata, storage.nbytes()
        known = self._live.get(key)
        if known is not None and known() is not None:
            if known.bytes == size:
                return known
            category = known.category
            self._events.append(known)  # it was resized: one storage went and another came, at the same place
        stored = self._live[key] = StorageRef(storage, self._events.append)
        stored.key, stored.bytes, stored.maker = key, size, maker
        stored.category, stored.counted, stored.gone = category, None, False
        self._events.append(stored)
        if category == "temporary" and self._phase in _FORWARD:
            self._fresh.append(stored)
        return stored

    def _lives(self, stored: StorageRef) -> bool:
        return stored() is not None and self._live.get(stored.key) is stored

    def _turn(self, phase: Phase) -> None:
        """Go from one phase to another: what a forward pass made and left is kept for backward, if that begins."""
        before, self._phase = self._phase, phase
        self._before = "", _BEFORE, phase
        if (before, phase) not in _KEPT:
            return
        kept: Counter[str] = Counter()
        for stored in self._fresh:
            if stored.category == "temporary" and self._lives(stored):
                self._file(stored, "activation")
                kept[stored.maker[1]] += stored.bytes
        self._fresh.clear()
        if before == "forward":
            self._activations |= kept  # the larger of each

    def _compact(self) -> None:
        self._course.follow(self._past)
        self._course.follow(self._events)
        self._past.clear()
        self._events.clear()
        self._fresh = [stored for stored in self._fresh if self._lives(stored)]
        self._live = {key: stored for key, stored in self._live.items() if stored() is not None}


def _gradients(modules: Iterable[nn.Module]) -> Iterator[torch.Tensor]:
    """Yield the gradients that the parameters of some modules have now."""
    for module in modules:
        for parameter in module._parameters.values():
            if parameter is not None and parameter.grad is not None:
                yield parameter.grad


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a nest of lists and mappings."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))
    elif isinstance(values, (list, tuple, set)):
        for value in values:
            yield from _tensors(value)
