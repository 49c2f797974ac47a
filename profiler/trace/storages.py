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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

    from profiler.records import Phase

_COMPACTED = 2**16  # events that are kept as they are
_MOMENTS = 256  # of the timeline
_BEFORE = "(before)"
#: From which phase to which something is kept.
_KEPT = {("forward", "backward"), ("forward", "recompute"), ("recompute", "backward")}


class Stored:
    """A storage that was seen."""

    __slots__ = ("alive", "bytes", "category", "counted", "module", "operator", "phase")

    def __init__(self, size: int, module: str, operator: Any, phase: Phase, category: Category) -> None:
        """Remember where it was made."""
        self.bytes = size
        self.module = module
        self.operator = operator
        self.phase = phase
        self.category: Category = category
        #: The category in which the course has it.
        self.counted: Category | None = None
        self.alive = True


class Storages:
    """The live storages of one session. The storages themselves are held weakly."""

    def __init__(self, model: nn.Module | None) -> None:
        """Follow what *model* holds, and what is made from here on."""
        self._model = model
        self._live: dict[int, tuple[Stored, Any]] = {}
        #: What came (1) or went (-1), and the phase then.
        self._events: list[tuple[int, Stored, Phase]] = []
        self._left: list[tuple[int, Stored, Phase]] = []
        self._fresh: list[Stored] = []
        self._phase: Phase = "forward"
        self._course = Course()
        self._activations: Counter[str] = Counter()
        self._backward = -1

    def start(self) -> None:
        """Take stock of what the model holds before anything runs."""
        self._events, self._left = self._left, []
        if self._model is None:
            return
        self._hold(self._model.parameters(), "parameter")
        self._hold(self._model.buffers(), "buffer")
        self.find_gradients()

    def stop(self) -> None:
        """Look at the gradients once more, and let go: what comes and goes until the next start is not seen."""
        self.find_gradients()
        self._compact()
        for key in list(self._live):
            self._gone(key)
        self._left, self._events = self._events, []  # for them all is gone, if there is another start

    def made(self, results: tuple[Any, ...], operator: Any, module: str, phase: Phase) -> None:
        """See the results of an operator."""
        if phase != self._phase:
            self._turn(phase)
        if phase == "backward":
            self._await_gradients()
        for result in results:
            if isinstance(result, torch.Tensor):
                self._see(result, operator, module, "temporary")
            elif isinstance(result, (list, tuple)):
                self.made(tuple(result), operator, module, phase)

    def given(self, values: Any) -> None:
        """See what came from outside: the inputs of a call of the model, or an operand that nothing here made."""
        for value in _tensors(values):
            known = self._known(value)
            if known is None:
                self._see(value, "", _BEFORE, "input")

    def asked(self, values: Any) -> None:
        """See the inputs of a call of the model, wherever they were made; a good moment to forget old events."""
        for value in _tensors(values):
            known = self._known(value)
            if known is None:
                self._see(value, "", _BEFORE, "input")
            elif known.category == "temporary" and known.phase == "forward":
                self._file(known, "input")
        if len(self._events) > _COMPACTED:
            self._compact()

    def find_gradients(self) -> None:
        """Know the parameters' gradients as such."""
        if self._model is not None:
            self._hold((p.grad for p in self._model.parameters() if p.grad is not None), "gradient")

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
            known = self._known(tensor)
            if known is None:
                self._see(tensor, "", _BEFORE, category)
            elif known.category not in {"parameter", "buffer"}:
                self._file(known, category)

    def _file(self, stored: Stored, category: Category) -> None:
        """Put a storage into its final category."""
        stored.category = category
        self._course.move(stored)

    def _known(self, tensor: torch.Tensor) -> Stored | None:
        storage = _storage(tensor)
        found = self._live.get(storage._cdata) if storage is not None else None
        return found[0] if found is not None else None

    def _see(self, tensor: torch.Tensor, operator: Any, module: str, category: Category) -> None:
        storage = _storage(tensor)
        if storage is None:
            return
        key, size = storage._cdata, storage.nbytes()
        found = self._live.get(key)
        if found is not None:
            if found[0].bytes == size:
                return
            self._gone(key)  # it was resized: the same storage, of another size
            category = found[0].category
        stored = Stored(size, module, operator, self._phase, category)
        self._live[key] = stored, weakref.ref(storage, lambda _: self._gone(key))
        self._events.append((1, stored, self._phase))
        if category == "temporary" and self._phase in {"forward", "recompute"}:
            self._fresh.append(stored)

    def _gone(self, key: int) -> None:
        found = self._live.pop(key, None)
        if found is not None:
            found[0].alive = False
            self._events.append((-1, found[0], self._phase))

    def _turn(self, phase: Phase) -> None:
        """Go from one phase to another: what a forward pass made and left is kept for backward, if that begins."""
        before, self._phase = self._phase, phase
        if (before, phase) not in _KEPT:
            return
        kept: Counter[str] = Counter()
        for stored in self._fresh:
            if stored.alive and stored.category == "temporary":
                self._file(stored, "activation")
                kept[stored.module] += stored.bytes
        self._fresh.clear()
        if before == "forward":
            self._activations |= kept  # the larger of each

    def _compact(self) -> None:
        self._fresh = [stored for stored in self._fresh if stored.alive]
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

    def follow(self, events: list[tuple[int, Stored, Phase]]) -> None:
        """Add what came, take away what went."""
        for sign, stored, phase in events:
            self._at += 1
            self._add(stored, sign)
            if sign > 0:
                self._note(stored, phase)

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


def _storage(tensor: torch.Tensor) -> Any:
    """Give a tensor's storage; None for one that has none of its own (sparse, opaque, not initialised)."""
    try:
        return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError, ValueError):
        return None


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a nest of lists and mappings."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))
    elif isinstance(values, (list, tuple, set)):
        for value in values:
            yield from _tensors(value)
