"""What runs on one thread: the calls of modules and the optimizer steps that began there and have not ended."""

from __future__ import annotations

import sys
from bisect import bisect_left
from typing import Any, NamedTuple

import torch

from profiler.values.records import OUTSIDE, Phase

_next_number = torch._C._autograd._get_sequence_nr
_current_graph_task = torch._C._current_graph_task_id
_MAX_RUNS = 2**20  # at the limit the older half is dropped: the graphs of those nodes have long been freed


class NodeOwners:
    """The modules that created the autograd nodes of one thread.

    Torch numbers the nodes of a thread in the order of their creation. Whenever another module goes on, the numbers
    assigned since the last time are recorded for the module that ran until then.
    """

    def __init__(self) -> None:
        """Start with the next node; older ones are attributed to ``OUTSIDE``."""
        self._first = _next_number()
        #: The number of the last node that was recorded.
        self.last = self._first - 1
        #: Runs of consecutive nodes created by one module: the last number of each run, and the module's path.
        self._ends: list[int] = [self.last]
        self._paths: list[str] = [OUTSIDE]

    def record(self, path: str) -> None:
        """Attribute the nodes created since the previous call to the module at *path*."""
        last = _next_number() - 1
        if last <= self.last:
            return
        self.last = last
        if self._paths[-1] == path:
            self._ends[-1] = last
            return
        self._ends.append(last)
        self._paths.append(path)
        if len(self._ends) > _MAX_RUNS:
            del self._ends[: _MAX_RUNS // 2], self._paths[: _MAX_RUNS // 2]

    def has_new(self) -> bool:
        """Return whether nodes have been created since the last record."""
        return _next_number() - 1 > self.last

    def has(self, number: int) -> bool:
        """Return whether the node of this number has been created since the start."""
        return self._first <= number < _next_number()

    def path_of(self, number: int) -> str:
        """Return the path of the module that created the node of this number."""
        run = bisect_left(self._ends, number)
        return self._paths[run] if run < len(self._paths) else OUTSIDE


class RunningNode(NamedTuple):
    """An autograd node that runs: its backward pass (graph task), name and number."""

    task: int
    name: str
    number: int


#: A running module or optimizer, and the values of the thread's attributes to restore when it ends: ``current``,
#: ``creator``, ``graph_task``, ``phase``. A plain tuple, since one is made for every call of a module.
_Frame = tuple[object, str, str, int, Phase]


class ThreadState:
    """The running modules and optimizer steps of one thread, innermost last, and who creates its autograd nodes."""

    __slots__ = (
        "_exports",
        "_frames",
        "_whole_modules",
        "creator",
        "current",
        "graph_task",
        "in_rerun_function",
        "inputs",
        "newest_task",
        "nodes",
        "phase",
        "place",
        "rerun_node",
        "whole_calls",
    )

    def __init__(self) -> None:
        """Start outside of every module."""
        self._frames: list[_Frame] = []
        #: What has handed out the memory of tensors, and what is known of them.
        self._exports: tuple[object, list[Any]] = None, []
        #: How many calls run now that are counted whole: by a formula of their class.
        self.whole_calls = 0
        #: The modules among them, the arguments of their calls, and the exception that was being handled at the call.
        self._whole_modules: list[tuple[object, Any, dict[str, Any], BaseException | None]] = []
        #: The path of the innermost running module; OUTSIDE in an optimizer step.
        self.current = OUTSIDE
        #: The module to which the nodes that are created now belong: in a backward pass, not the running module.
        self.creator = OUTSIDE
        #: The backward pass (autograd's graph task) in which the innermost call began; -1 if in none.
        self.graph_task = -1
        #: The phase of what runs outside of backward passes: "optimizer" if an optimizer's step is innermost.
        self.phase: Phase = "forward"
        #: The latest backward pass that was seen on this thread. Their numbers increase.
        self.newest_task = -1
        #: The node, by backward pass and number, in which the latest operator ran a forward again; None if none did.
        self.rerun_node: tuple[int, int] | None = None
        #: Whether a custom autograd.Function runs in that forward.
        self.in_rerun_function = False
        self.nodes = NodeOwners()
        #: On another thread than the profiled block's: the module and phase that started what runs there.
        self.place: tuple[str, Phase] | None = None
        #: On another thread than the profiled block's: the arguments of the outermost running module.
        self.inputs: list[torch.Tensor] = []

    def push(self, owner: object, path: str, phase: Phase = "forward") -> None:
        """Enter a call of *owner*: a module at *path*, or an optimizer. Nodes created so far belong to its caller."""
        if _next_number() - 1 > self.nodes.last:
            self.nodes.record(self.creator)
        self._frames.append((owner, self.current, self.creator, self.graph_task, self.phase))
        self.current = self.creator = path
        self.graph_task = _current_graph_task()
        self.phase = phase

    def pop(self, owner: object) -> str | None:
        """End the innermost call of *owner* and return its path; return None if it has not been entered.

        Calls above it are dropped: an exception that the model caught has ended them.
        """
        frames = self._frames
        if not frames or (frames[-1][0] is not owner and all(frame[0] is not owner for frame in frames)):
            return None
        while True:
            if _next_number() - 1 > self.nodes.last:
                self.nodes.record(self.current)
            path = self.current
            popped, self.current, self.creator, self.graph_task, self.phase = frames.pop()
            if not frames:
                self._exports = None, []
            if popped is owner:
                return path

    def begin_whole_call(self, module: object, args: Any, kwargs: dict[str, Any]) -> None:
        """Enter a call of a module that is counted whole, by a formula of its class."""
        self.whole_calls += 1
        self._whole_modules.append((module, args, kwargs, sys.exception()))

    def end_whole_call(self, module: object, output: Any) -> tuple[Any, dict[str, Any]] | None:
        """End such a call. Return its arguments if it is to be counted: it is the outermost one, and has not raised."""
        if not self._whole_modules or self._whole_modules[-1][0] is not module:
            return None
        _, args, kwargs, handled = self._whole_modules.pop()
        self.whole_calls -= 1
        has_raised = output is None and sys.exception() is not handled
        return None if has_raised or self.whole_calls else (args, kwargs)

    @property
    def is_idle(self) -> bool:
        """Whether neither a module nor an optimizer runs."""
        return not self._frames

    @property
    def owners(self) -> list[object]:
        """The running modules and optimizers, innermost first."""
        return [frame[0] for frame in reversed(self._frames)]

    @property
    def running(self) -> tuple[str, ...]:
        """The paths of the running modules, outermost first; an optimizer step is left out."""
        return tuple(path for path in (*(frame[1] for frame in self._frames), self.current) if path != OUTSIDE)

    @property
    def innermost(self) -> object | None:
        """The innermost call of a module, as an object of its own; None outside of all, and in an optimizer's step."""
        return self._frames[-1] if self._frames and self.phase != "optimizer" else None

    def exports(self, scope: object) -> list[Any]:
        """Return what *scope* has handed out: a call, or an autograd node. What another has is dropped."""
        held, exports = self._exports
        if held is scope or (isinstance(scope, RunningNode) and held == scope):
            return exports
        self._exports = scope, []
        return self._exports[1]

    def latest_exports(self, task: int) -> list[Any]:
        """Return what was handed out last, in the outermost call that runs, or in this backward pass (graph task)."""
        scope, exports = self._exports
        return [] if isinstance(scope, RunningNode) and scope.task != task else exports

    def clear(self) -> None:
        """Forget every running call."""
        self._frames.clear()
        self._exports = None, []
        self.whole_calls = 0
        self._whole_modules.clear()
        self.current, self.creator, self.graph_task, self.phase = OUTSIDE, OUTSIDE, -1, "forward"
