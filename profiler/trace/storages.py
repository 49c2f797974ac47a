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

from profiler.memory import CATEGORIES, Category, Memory, Moment, with_total
from profiler.trace.scopes import modules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

    from profiler.records import Phase

_COMPACTED = 2**16  # events that are kept as they are
_MOMENTS = 256  # of the timeline
_BEFORE = "(before)"
#: From which phase to which something is kept.
_KEPT = {("forward", "backward"), ("forward", "recompute"), ("recompute", "backward")}
_MAKING = frozenset({"forward", "recompute"})
_NO_TENSORS = frozenset({int, bool, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format})


class Stored(weakref.ref[torch.UntypedStorage]):
    """A storage that was seen: a weak reference that knows what it refers to, also when that is gone."""

    __slots__ = ("bytes", "category", "counted", "key", "module", "operator", "phase")

    key: int
    bytes: int
    #: Where it was made.
    module: str
    operator: Any
    phase: Phase
    category: Category
    #: The category in which the course has it.
    counted: Category | None


class Storages:
    """The live storages of one session. The storages themselves are held weakly."""

    def __init__(self, model: nn.Module | None) -> None:
        """Follow what *model* holds, and what is made from here on."""
        self._model = model
        self._live: dict[int, Stored] = {}
        #: Each storage when it came, and again when it went.
        self._events: list[Stored] = []
        #: What was still there when the session stopped: for another start, all of it is gone.
        self._left: list[Stored] = []
        self._fresh: list[Stored] = []
        self._phase: Phase = "forward"
        self._course = Course()
        self._activations: Counter[str] = Counter()
        self._backward = -1

    def start(self) -> None:
        """Take stock of what the model holds before anything runs."""
        self._events += self._left
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
        self._left, self._live = list(self._live.values()), {}
        self._fresh.clear()

    def made(self, result: Any, operator: Any, module: str, phase: Phase) -> None:
        """See the result of an operator."""
        if phase != self._phase:
            self._turn(phase)
        if phase == "backward":
            self._await_gradients()
        for tensor in (result,) if isinstance(result, torch.Tensor) else _tensors(result):
            self._see(tensor, operator, module, "temporary")

    def given(self, values: Iterable[Any]) -> None:
        """See what came from outside: the operands that nothing here made."""
        for value in values:
            if type(value) in _NO_TENSORS:
                continue
            for tensor in (value,) if isinstance(value, torch.Tensor) else _tensors(value):
                self._see(tensor, "", _BEFORE, "input")

    def asked(self, values: Any) -> None:
        """See the inputs of a call of the model, wherever they were made; a good moment to forget old events."""
        for value in _tensors(values):
            stored = self._see(value, "", _BEFORE, "input")
            if stored is not None and stored.category == "temporary" and stored.phase == "forward":
                self._file(stored, "input")
        if len(self._events) > _COMPACTED:
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

    def _await_gradients(self) -> None:
        """Look at the gradients when this backward pass ends; the engine calls back."""
        task = torch._C._current_graph_task_id()
        if task not in {-1, self._backward}:
            self._backward = task
            torch.autograd.Variable._execution_engine.queue_callback(self.find_gradients)

    def memory(self) -> Memory:
        """Say what was live, and when."""
        self._compact()
        return self._course.memory(dict(self._activations))

    def _hold(self, tensors: Iterable[torch.Tensor], category: Category) -> None:
        for tensor in tensors:
            known = self._see(tensor, "", _BEFORE, category)
            if known is not None and known.category not in {category, "parameter", "buffer"}:
                self._file(known, category)

    def _file(self, stored: Stored, category: Category) -> None:
        """Put a storage into its final category."""
        stored.category = category
        self._course.move(stored)

    def _see(self, tensor: torch.Tensor, operator: Any, module: str, category: Category) -> Stored | None:
        """Give what is known of a tensor's storage; one that is new is from now on."""
        try:
            storage = tensor.untyped_storage()
        except (RuntimeError, NotImplementedError, ValueError):
            return None  # it has none of its own: sparse, opaque, not initialised
        key, size = storage._cdata, storage.nbytes()
        known = self._live.get(key)
        if known is not None:
            if known.bytes == size:
                return known
            self._gone(known)  # it was resized: the same storage, of another size
            category = known.category
        stored = self._live[key] = Stored(storage, self._gone)
        stored.key, stored.bytes, stored.category, stored.counted = key, size, category, None
        stored.operator, stored.module, stored.phase = operator, module, self._phase
        self._events.append(stored)
        if category == "temporary" and self._phase in _MAKING:
            self._fresh.append(stored)
        return stored

    def _gone(self, stored: Stored) -> None:
        if self._live.get(stored.key) is stored:
            del self._live[stored.key]
            self._events.append(stored)

    def _turn(self, phase: Phase) -> None:
        """Go from one phase to another: what a forward pass made and left is kept for backward, if that begins."""
        before, self._phase = self._phase, phase
        if (before, phase) not in _KEPT:
            return
        kept: Counter[str] = Counter()
        for stored in self._fresh:
            if stored.category == "temporary" and self._live.get(stored.key) is stored:
                self._file(stored, "activation")
                kept[stored.module] += stored.bytes
        self._fresh.clear()
        if before == "forward":
            self._activations |= kept  # the larger of each

    def _compact(self) -> None:
        self._fresh = [stored for stored in self._fresh if self._live.get(stored.key) is stored]
        self._course.follow(self._events)
        self._events.clear()


class Course:
    """The sums of what lives, event by event."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sums = dict.fromkeys(CATEGORIES, 0)
        self._total = self._at = 0
        self._stride, self._best = 1, 0
        self._peak: Moment | None = None
        self._peaks: dict[Phase, Moment] = {}
        self._highest: Moment | None = None
        self._timeline: list[Moment] = []

    def follow(self, events: list[Stored]) -> None:
        """Add what comes, and take it away when it goes: each storage is there twice at most."""
        for stored in events:
            self._at += 1
            if stored.counted is None:
                self._add(stored, 1)
                self._note(stored, stored.phase)
            else:
                self._add(stored, -1)

    def move(self, stored: Stored) -> None:
        """Follow a storage that was counted to another category."""
        if stored.counted not in {None, stored.category}:
            self._add(stored, -1)
            self._add(stored, 1)

    def memory(self, activations: dict[str, int]) -> Memory:
        """Give the peaks, and the timeline."""
        last = [self._highest] if self._highest is not None else []
        nothing = Moment(0, "", "", "forward", with_total(dict.fromkeys(CATEGORIES, 0)))
        return Memory(self._peak or nothing, dict(self._peaks), (*self._timeline, *last), activations)

    def _add(self, stored: Stored, sign: int) -> None:
        if sign > 0:
            stored.counted = stored.category
        self._sums[stored.counted or stored.category] += sign * stored.bytes
        self._total += sign * stored.bytes
        if sign < 0:
            stored.counted = None

    def _note(self, stored: Stored, phase: Phase) -> None:
        here: Moment | None = None
        if self._peak is None or self._total > self._peak.total:
            here = self._peak = self._moment(stored, phase)
        if phase not in self._peaks or self._total > self._peaks[phase].total:
            self._peaks[phase] = here = here or self._moment(stored, phase)
        if self._highest is None or self._total > self._highest.total:
            self._highest = here or self._moment(stored, phase)
        if self._at % self._stride == 0:
            self._timeline.append(self._highest)
            self._highest = None
            self._thin()

    def _thin(self) -> None:
        """Where the timeline grows too long, keep the higher of each pair."""
        if len(self._timeline) >= _MOMENTS:
            pairs = zip(self._timeline[::2], self._timeline[1::2], strict=False)
            self._timeline = [max(pair, key=lambda moment: moment.total) for pair in pairs]
            self._stride *= 2

    def _moment(self, stored: Stored, phase: Phase) -> Moment:
        return Moment(self._at, stored.module, str(stored.operator), phase, self._sums | {"total": self._total})


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
