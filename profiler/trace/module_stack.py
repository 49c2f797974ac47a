"""The stack of running modules, which determines the module that an operator is attributed to.

The model itself carries no hook: a copy or a checkpoint made inside the profiled block is clean. How work is attributed
in unclear cases:

- A module called by ``.forward()`` fires no hook: its work is attributed to its caller.
- A module with several paths has, in each call, the path under the module that calls it, or else its first path.
- A module in a plain list is not registered with its parent: its work is attributed to the nearest registered caller.
- The work of a forward pre-hook is attributed to its module, that of a forward hook to the module's caller.
- Work outside every call of the model has a row of its own, ``OUTSIDE``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch._C import _current_autograd_node, _current_graph_task_id

from profiler.trace.backward_attribution import engine_frame, origin_of_backward
from profiler.trace.checkpoint_calls import CheckpointCall
from profiler.trace.fsdp_groups import has_sharded, place_of_exchange
from profiler.trace.module_calls import Follower, follow
from profiler.trace.module_paths import ModulePaths, path_under_caller, walk
from profiler.trace.module_tally import ModuleTally
from profiler.trace.nested_tensors import tensors_in
from profiler.trace.other_threads import GraphTags, ModeOnThreads
from profiler.trace.thread_state import RunningNode, ThreadState
from profiler.util.whole_calls import WANTED, class_with_formula
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from torch import nn
    from torch.optim import Optimizer
    from torch.utils._python_dispatch import TorchDispatchMode

    from profiler.values.records import Phase


#: Receives a module, the positional and the keyword arguments of its call if they are wanted, and its output.
OnReturn = Callable[[Any, Any, Any, Any], None]


class _ThisThread(threading.local):
    """The state of the current thread: each thread has its own."""

    def __init__(self) -> None:
        self.state = ThreadState()


class ModuleStack:
    """The running modules of one model by thread, their number of calls, and their first outputs."""

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare to follow *model*."""
        self._model = model
        self._paths = ModulePaths(model)
        self._attached = ExitStack()
        #: Its ``state`` is that of the current thread.
        self.thread = _ThisThread()
        #: The state of the thread of the profiled block.
        self.home = self.thread.state
        #: The same, unless what runs there may belong to a module that is not the running one.
        self.plain_home: ThreadState | None = self.home
        self.threads = ModeOnThreads(None)
        self._tags = GraphTags()
        #: The modules that called checkpoints, by path.
        self._checkpoints: WeakKeyDictionary[CheckpointCall, str] = WeakKeyDictionary()
        self._lock = RLock()
        #: Whether FSDP2 shards some of the modules.
        self._is_sharded = False
        #: The calls of each module, and the shapes of the first.
        self.calls = ModuleTally()

    @property
    def modules(self) -> Iterable[nn.Module]:
        """The modules of the model, each once."""
        return self._paths.modules

    @property
    def current(self) -> str:
        """The path of the running module."""
        return self.thread.state.current

    @property
    def running(self) -> tuple[str, ...]:
        """The paths of the running modules, outermost first."""
        return self.thread.state.running

    def locate(self) -> tuple[str, Phase]:
        """Return the module and phase of what runs now; attribute the autograd nodes created so far.

        What FSDP2 exchanges belongs to the module whose parameters it gathers, or whose gradients it reduces.
        """
        state, node = self.thread.state, _current_autograd_node()
        if node is None:
            # inside a step, a closure runs the model: that is forward work
            path: str = state.current
            phase: Phase = state.phase
            if phase == "forward" and _current_graph_task_id() not in {-1, state.graph_task}:
                phase = "backward"  # a callback that the engine runs when the backward pass has ended
            if state is not self.home and state.is_idle:
                # a thread that the block started; or one of torch's own, to which the dispatch mode was handed on
                path, phase = state.place or (self.home.current, phase)
        else:
            origin, phase = origin_of_backward(state, node)
            if isinstance(origin, CheckpointCall):
                path = self._checkpoints.get(origin) or self._creator(node, state)
            else:
                path = state.current if origin is None else self._creator(origin, state)
        state.creator = path
        state.nodes.record(path)
        return place_of_exchange(self._paths.of, path, phase) if self._is_sharded else (path, phase)

    def place_of_caller(self) -> Callable[[], AbstractContextManager[None]]:
        """Return a context in which another thread works for the module, and in the phase, that run here now."""
        place = self.locate()
        return lambda: self._working_for(place)

    @contextmanager
    def _working_for(self, place: tuple[str, Phase]) -> Iterator[None]:
        state = self.thread.state
        before, state.place = state.place, place
        try:
            yield
        finally:
            state.place = before

    def on_checkpoint(self, call: CheckpointCall) -> None:
        """Note which module calls a checkpoint."""
        self._checkpoints[call] = self.locate()[0]

    def scope(self) -> object | None:
        """Return the call of a module, or the autograd node, that runs now; None outside of both."""
        state, node, task = self.thread.state, _current_autograd_node(), _current_graph_task_id()
        if node is not None and state.graph_task != task:
            return RunningNode(task, node.name(), node._sequence_nr())
        return state.innermost or (self.home.innermost if state.is_idle else None)

    def exports(self, scope: object) -> list[Any]:
        """Return the list of what *scope* has handed out to code that is no operator."""
        return self.thread.state.exports(scope)

    def latest_exports(self) -> list[Any]:
        """Return what was handed out last in the call of the model, or in the backward pass, that runs now."""
        return self.thread.state.latest_exports(_current_graph_task_id())

    @contextmanager
    def whole_call(self) -> Iterator[bool]:
        """Record no operator in the block; return whether no such call is around it."""
        state = self.thread.state
        before = state.whole_calls
        state.whole_calls = before + 1
        try:
            yield before == 0
        finally:
            state.whole_calls = before

    @property
    def is_whole(self) -> bool:
        """Whether a call runs that is counted whole, by a formula of its class."""
        return self.thread.state.whole_calls > 0

    def attach(
        self,
        on_call: Callable[[Any, Any], None] = lambda *_: None,
        mode: TorchDispatchMode | None = None,
        is_tracing: Callable[[], bool] = lambda: False,
        places: Iterable[tuple[str, nn.Module]] | None = None,
        on_return: OnReturn = lambda *_: None,
    ) -> None:
        """Start to follow the modules that run on this thread.

        Args:
            on_call: Receives the arguments of each call of the root module.
            mode: Is entered on any other thread while it runs modules of the model; with None, only this thread counts.
            is_tracing: Returns whether torch traces a program: a call in it is none of the model's.
            places: The modules of the model with each of their paths, if the caller has listed them.
            on_return: Receives each call that is counted whole when it ends; and each of the root module, without
                arguments.
        """
        self._paths.list_once(walk(self._model) if places is None and self._model is not None else places or ())
        self._is_sharded = has_sharded(self._paths.modules)
        thread, threads = self.thread, ModeOnThreads(mode)
        self.home = home = thread.state
        self.plain_home = None if self._is_sharded else home
        self.threads = threads
        model, known, lock = self._model, self._paths.known, self._lock
        on_module, outputs = self.calls.on_call, self.calls.outputs

        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
            state = thread.state
            paths = known.get(module) or self._paths.adopt(module, (*state.owners, *home.owners))
            if not paths or not (state is home or threads.enter()):
                return False
            with lock:
                if module is model and torch._C._get_tracing_state() is None:  # reading a shape would be traced
                    on_call(args, kwargs)
                if state is not home and state.is_idle:
                    state.inputs = list(tensors_in((args, kwargs)))
                path = paths[0] if len(paths) == 1 else path_under_caller(paths, self.locate()[0])
                on_module(path, args, kwargs)
                state.push(module, path)
            if WANTED and class_with_formula(type(module)) is not None:
                state.begin_whole_call(module, args, kwargs)
            return True

        def leave(module: nn.Module, output: Any) -> None:
            state = thread.state
            if module is model or state.whole_calls:
                self._report_return(state, on_return, module, output)
            path = state.pop(module)
            if path is not None and output is not None and path not in outputs:
                self.calls.on_return(path, output)
            if state is not home and state.is_idle:
                self._tags.mark(tensors_in(output), state.inputs, state.nodes)
                state.inputs = []
                threads.leave()

        with ExitStack() as stack:
            stack.callback(self.home.clear)
            stack.enter_context(follow(Follower(is_tracing, enter, leave), threads.when_left))
            self._attached = stack.pop_all()

    def _report_return(self, state: ThreadState, report: OnReturn, module: nn.Module, output: Any) -> None:
        """Report the end of a call of the model, or of one that is counted whole, before it is left."""
        if module is self._model and torch._C._get_tracing_state() is None:
            report(module, None, None, output)
        arguments = state.end_whole_call(module, output)
        if arguments is not None:
            report(module, *arguments, output)

    def detach(self) -> None:
        """Remove the hooks and clear the stack."""
        self._attached.close()
        self.threads = ModeOnThreads(None)

    def enter_optimizer(self, optimizer: Optimizer) -> None:
        """Attribute what follows to the optimizer phase. A step of *optimizer* that raised has ended."""
        state = self.thread.state
        state.pop(optimizer)
        if self.threads.enter():
            self.locate()
            state.push(optimizer, OUTSIDE, "optimizer")

    def leave_optimizer(self, optimizer: Optimizer) -> None:
        """End the step of *optimizer*."""
        state = self.thread.state
        state.pop(optimizer)
        if state.is_idle:
            self.threads.leave()

    def _creator(self, node: Any, state: ThreadState) -> str:
        """Return the path of the module whose forward created *node*."""
        parameter = getattr(node, "variable", None)
        if parameter is not None:
            return self._paths.owner(parameter)
        nodes = self._tags.owners_of(node)
        if nodes is None:
            # another thread runs its own nodes if the backward pass was called there, and else those of the block
            is_own = engine_frame() is not None and state.nodes.has(node._sequence_nr())
            nodes = state.nodes if state is self.home or is_own else self.home.nodes
        return nodes.path_of(node._sequence_nr())
