"""Whose work it is: the stack of modules that are running.

Torch's global forward hooks keep the stack, so that nothing is put on the model itself: a copy or a checkpoint made
inside the profiled block is clean. What the stack means, in the cases where that is not plain:

- a module called by ``.forward()`` fires no hook: its work is its caller's;
- a module with several names is, for each call, at the name under the module that calls it, or else at its first;
- a module in a plain list is not registered with its parent: its work is that of the nearest registered caller;
- what a forward pre-hook does is its module's work; what a forward hook does is that of the module's caller;
- work outside every call of the model has a row of its own, ``OUTSIDE``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import ExitStack
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn


class ModuleStack:
    """The running modules of one model, on one thread."""

    def __init__(self, model: nn.Module | None, on_call: Callable[[Any, Any], None]) -> None:
        """Watch *model*; *on_call* is given the arguments of each call of the root."""
        self._model = model
        self._names = _names(model) if model is not None else {}
        self._on_call = on_call
        self._attached = ExitStack()
        self._stack: list[tuple[nn.Module, str, bool]] = []
        #: Whether the running module was called in a backward pass: its forward is run again.
        self.in_backward = False
        #: The path of the module that is running.
        self.current = OUTSIDE
        self.calls: defaultdict[str, int] = defaultdict(int)
        self.outputs: dict[str, tuple[tuple[int, ...], ...]] = {}

    @property
    def modules(self) -> Iterable[nn.Module]:
        """The modules that have a row."""
        return self._names

    def attach(self) -> None:
        """Begin to follow the modules on this thread."""
        thread = get_ident()

        def enter(module: nn.Module, args: Any) -> None:
            names = self._names.get(module)
            if names is not None and get_ident() == thread:
                if module is self._model:
                    self._on_call(args, _keyword_arguments())
                self._stack.append((module, self.current, self.in_backward))
                path = self.current = names[0] if len(names) == 1 else _called_as(names, self.current)
                self.in_backward = self.in_backward or torch._C._current_autograd_node() is not None
                self.calls[path] += 1

        def leave(module: nn.Module, _args: Any, output: Any) -> None:
            if module in self._names and get_ident() == thread:
                self._leave(module, output)

        with ExitStack() as stack:
            stack.callback(self._forget)
            stack.callback(register_module_forward_pre_hook(enter).remove)
            stack.callback(register_module_forward_hook(leave, always_call=True).remove)
            self._attached = stack.pop_all()

    def detach(self) -> None:
        """Take the hooks away, and forget the stack."""
        self._attached.close()

    def _leave(self, module: nn.Module, output: Any) -> None:
        """Go back to the module's caller, over the frames that an exception caught in the model left."""
        while self._stack:
            path = self.current
            left, self.current, self.in_backward = self._stack.pop()
            if left is module:
                if output is not None and path not in self.outputs:
                    self.outputs[path] = tuple(shapes(output))
                return

    def _forget(self) -> None:
        self._stack.clear()
        self.current, self.in_backward = OUTSIDE, False


def walk(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield every module under each of its paths, parents first."""
    yield path, model
    for name, child in model._modules.items():
        if child is not None:
            yield from walk(child, f"{path}.{name}" if path else name)


def modules_of(model: nn.Module) -> list[nn.Module]:
    """List every module once, parents first, as ``model.modules()`` does, which makes up their names as well."""
    found: dict[nn.Module, None] = {}
    waiting = [model]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = None
            if module._modules:
                waiting += [child for child in reversed(module._modules.values()) if child is not None]
    return list(found)


def shapes(value: Any) -> list[tuple[int, ...]]:
    """List the shapes of the tensors in an output, however nested."""
    if isinstance(value, torch.Tensor):
        return [] if value.is_nested else [tuple(map(int, value.shape))]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in shapes(item)]
    return []


def _keyword_arguments() -> dict[str, Any]:
    """Give those of the call that a global pre-hook serves: torch passes it the positional ones alone.

    They stand in the frame that called the hook; where a version of torch names them otherwise, none are seen.
    """
    caller = sys._getframe(2).f_locals
    found = caller.get("kwargs", {})
    return found if isinstance(found, dict) else {}


def _names(model: nn.Module) -> dict[nn.Module, tuple[str, ...]]:
    """Map each module to all of its paths."""
    names: dict[nn.Module, tuple[str, ...]] = {}
    for path, module in walk(model):
        names[module] = (*names.get(module, ()), path)
    return names


def _called_as(names: tuple[str, ...], caller: str) -> str:
    """Choose the name under the longest prefix of the caller's path."""
    parts = caller.split(".") if caller else []
    while parts:
        prefix = ".".join(parts) + "."
        for name in names:
            if name.startswith(prefix):
                return name
        parts.pop()
    return names[0]
