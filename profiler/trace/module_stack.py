"""The stack of running modules, which determines the module that an operator is attributed to.

Torch's global forward hooks maintain the stack, so that the model itself carries no hook: a copy or a checkpoint made
inside the profiled block is clean. How work is attributed in unclear cases:

- A module called by ``.forward()`` fires no hook: its work is attributed to its caller.
- A module with several paths has, in each call, the path under the module that calls it, or else its first path.
- A module in a plain list is not registered with its parent: its work is attributed to the nearest registered caller.
- The work of a forward pre-hook is attributed to its module, that of a forward hook to the module's caller.
- Work outside every call of the model has a row of its own, ``OUTSIDE``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import ExitStack
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch._C import _current_autograd_node
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from profiler.trace.backward_attribution import locate_backward
from profiler.trace.thread_state import ThreadState
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn
    from torch.optim import Optimizer

    from profiler.values.records import Phase


class ModuleStack:
    """The running modules of one model on one thread, their number of calls, and their first outputs."""

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare to follow *model*."""
        self._model = model
        self._paths = _paths(model) if model is not None else {}
        self._attached = ExitStack()
        self._state = ThreadState()
        #: The first path that holds each parameter, by its ``id``. The model keeps the parameters alive.
        self._owners: dict[int, str] = {}
        #: The number of calls of each module, by path.
        self.calls: defaultdict[str, int] = defaultdict(int)
        #: The shapes of the tensors in each module's first output, by path.
        self.outputs: dict[str, tuple[tuple[int, ...], ...]] = {}

    @property
    def modules(self) -> Iterable[nn.Module]:
        """The modules of the model, each once."""
        return self._paths

    @property
    def current(self) -> str:
        """The path of the running module."""
        return self._state.current

    def locate(self) -> tuple[str, Phase]:
        """Return the module and phase of what runs now; attribute the autograd nodes created so far."""
        state, node = self._state, _current_autograd_node()
        if node is None:
            # inside a step, a closure runs the model: that is forward work
            path: str = state.current
            phase: Phase = "optimizer" if state.in_optimizer else "forward"
        else:
            path, phase = locate_backward(state, node, self._owner)
        state.creator = path
        if node is not None or torch.is_grad_enabled():
            state.nodes.record(path)
        return path, phase

    def attach(self, on_call: Callable[[Any, Any], None] = lambda *_: None) -> None:
        """Start to follow the modules that run on this thread; *on_call* receives the arguments of the root's calls."""
        thread = get_ident()

        def enter(module: nn.Module, args: Any) -> None:
            paths = self._paths.get(module)
            if paths is not None and get_ident() == thread:
                if module is self._model:
                    on_call(args, _keyword_arguments())
                caller, _ = self.locate()
                path = paths[0] if len(paths) == 1 else _path_under_caller(paths, caller)
                self._state.push(module, path)
                self.calls[path] += 1

        def leave(module: nn.Module, _args: Any, output: Any) -> None:
            if module in self._paths and get_ident() == thread:
                path = self._state.pop(module)
                if path is not None and output is not None and path not in self.outputs:
                    self.outputs[path] = tuple(_shapes(output))

        with ExitStack() as stack:
            stack.callback(self._state.clear)
            stack.callback(register_module_forward_pre_hook(enter).remove)
            stack.callback(register_module_forward_hook(leave, always_call=True).remove)
            self._attached = stack.pop_all()

    def detach(self) -> None:
        """Remove the hooks and clear the stack."""
        self._attached.close()

    def enter_optimizer(self, optimizer: Optimizer) -> None:
        """Attribute what follows to the optimizer phase. A step of *optimizer* that raised has ended."""
        self._state.pop(optimizer)
        self.locate()
        self._state.push(optimizer, OUTSIDE, in_optimizer=True)

    def leave_optimizer(self, optimizer: Optimizer) -> None:
        """End the step of *optimizer*."""
        self._state.pop(optimizer)

    def _owner(self, parameter: torch.Tensor) -> str:
        """Return the first path that holds a parameter. It may have been registered since the last look."""
        if id(parameter) not in self._owners and self._model is not None:
            for path, module in walk(self._model):
                for own in module._parameters.values():
                    self._owners.setdefault(id(own), path)
        return self._owners.setdefault(id(parameter), OUTSIDE)


def walk(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield every module with each of its paths, parents first."""
    yield path, model
    for name, child in model._modules.items():
        if child is not None:
            yield from walk(child, f"{path}.{name}" if path else name)


def modules_of(model: nn.Module) -> list[nn.Module]:
    """List every module once, parents first. Faster than ``model.modules()``, which also builds their names."""
    modules: dict[nn.Module, None] = {}
    pending = [model]
    while pending:
        module = pending.pop()
        if module not in modules:
            modules[module] = None
            if module._modules:
                pending += [child for child in reversed(module._modules.values()) if child is not None]
    return list(modules)


def _shapes(value: Any) -> list[tuple[int, ...]]:
    """List the shapes of the tensors in an output: in nested lists, tuples and mappings."""
    if isinstance(value, torch.Tensor):
        return [] if value.is_nested else [tuple(map(int, value.shape))]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [shape for item in value for shape in _shapes(item)]
    return []


def _keyword_arguments() -> dict[str, Any]:
    """Return the keyword arguments of the call for which a global pre-hook runs: torch passes it only positional ones.

    They are a local variable of the frame that called the hook. If a version of torch renames it, none are returned.
    """
    caller = sys._getframe(2).f_locals
    kwargs = caller.get("kwargs", {})
    return kwargs if isinstance(kwargs, dict) else {}


def _paths(model: nn.Module) -> dict[nn.Module, tuple[str, ...]]:
    """Map each module to all of its paths."""
    paths: dict[nn.Module, tuple[str, ...]] = {}
    for path, module in walk(model):
        paths[module] = (*paths.get(module, ()), path)
    return paths


def _path_under_caller(paths: tuple[str, ...], caller: str) -> str:
    """Return the path of a module that shares the longest prefix with its caller's path."""
    parts = caller.split(".") if caller else []
    while parts:
        prefix = ".".join(parts) + "."
        for path in paths:
            if path.startswith(prefix):
                return path
        parts.pop()
    return paths[0]
