"""Record the calls of modules and custom ``autograd.Function``s that have a formula of their class.

Such a call is one record, with the arguments of its ``forward`` by name. The operators that run inside are not
recorded: the formula stands for all of them. Memory is tracked as ever.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import ExitStack, contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.argument_specs import SpecCache
from profiler.trace.nested_tensors import tensors_in
from profiler.trace.operator_calls import OperatorCall, WholeKernel
from profiler.util.shared_context import PROCESS_LOCK
from profiler.util.whole_calls import class_with_formula, name_of, wanted_by, whole_classes

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from torch import nn

    from profiler.trace.module_stack import ModuleStack
    from profiler.util.whole_calls import Method

Arguments = dict[str, Any]
#: Under this key the node of a custom function keeps the specs of its forward, for the formula of its backward.
_KEY = "profiler forward"


class WholeCalls:
    """Records whole calls in one session."""

    def __init__(
        self,
        modules: ModuleStack,
        calls: Counter[OperatorCall],
        is_recording: Callable[[], bool],
        on_written: Callable[[Any], None],
    ) -> None:
        """Add each whole call to *calls*; what it takes and returns is then known to be written."""
        self._modules = modules
        self._calls = calls
        self._on_written = on_written
        self._lock = RLock()
        self.is_recording = is_recording

    def on_module(self, module: nn.Module, args: Any, kwargs: Arguments, output: Any) -> None:
        """Record a call of a module that has ended."""
        kind = class_with_formula(type(module))
        if kind is None:
            return
        arguments = bind(module.forward, args, kwargs)
        wanted = {name: getattr(module, name, None) for name in wanted_by(kind) if name not in {*arguments, "out"}}
        held = {name: value for name, value in wanted.items() if value is not None}
        self.record(name_of(kind), arguments | held, output)

    def record(self, name: str, arguments: Arguments, result: Any) -> None:
        """Record one call at the place where it runs."""
        specs = SpecCache()
        results = tuple(specs.spec(tensor) for tensor in tensors_in(result))
        values = specs.specs(tuple(arguments.values()))
        call = OperatorCall(WholeKernel(name, tuple(arguments)), *self._modules.locate(), values, (), results)
        with self._lock:
            self._calls[call] += 1
        self._on_written((*arguments.values(), result))

    def inside(self) -> AbstractContextManager[bool]:
        """Return a context in which operators are not recorded; as its target, whether no other is around it."""
        return self._modules.whole_call()


def bind(function: Any, args: Any, kwargs: Arguments) -> Arguments:
    """Return the arguments of a call by name, defaults included; those of ``*args`` are one tuple.

    Example:
        >>> bind(lambda x, *rest, scale=2: x, (1, 3, 4), {})
        {'x': 1, 'rest': (3, 4), 'scale': 2}
    """
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


_observers: list[WholeCalls] = []
_patched = ExitStack()


@contextmanager
def observe_functions(whole: WholeCalls) -> Iterator[None]:
    """Report the calls of every ``autograd.Function`` that has a formula, inside the block."""
    with PROCESS_LOCK:
        if not _observers:
            for kind in whole_classes():
                if issubclass(kind, torch.autograd.Function):
                    _patch(kind)
        _observers.append(whole)
    try:
        yield
    finally:
        with PROCESS_LOCK:
            _observers.remove(whole)
            if not _observers:
                _patched.close()


def _patch(kind: Any) -> None:
    """Replace the static methods of a function until the last observer has left."""
    forward = kind.forward
    has_setup = kind.setup_context is not torch.autograd.Function.setup_context
    _replace(kind, "forward", functools.partial(_forward, kind, forward, not has_setup))
    if has_setup:
        _replace(kind, "setup_context", functools.partial(_setup_context, forward, kind.setup_context))
    if wanted_by(kind, "backward"):
        _replace(kind, "backward", functools.partial(_backward, kind, kind.backward))


def _replace(kind: type, name: str, function: Any) -> None:
    own = vars(kind).get(name)
    setattr(kind, name, staticmethod(function))
    _patched.callback(delattr if own is None else setattr, kind, name, *(() if own is None else (own,)))


def _forward(kind: type, original: Any, has_ctx: bool, *args: Any, **kwargs: Any) -> Any:
    """Run the ``forward`` of a function; record it if it has a formula, and note its arguments for its backward."""
    arguments = bind(original, args, kwargs)
    if has_ctx:
        arguments.pop(next(iter(arguments)))
    if class_with_formula(kind) is not kind:
        result = original(*args, **kwargs)
    else:
        result = _run_whole(kind, "forward", arguments, functools.partial(original, *args, **kwargs))
    if has_ctx:
        _note(args[0], arguments, result)
    return result


def _setup_context(forward: Any, original: Any, ctx: Any, inputs: Any, output: Any) -> Any:
    """Note the arguments of a function whose ``forward`` has no context."""
    _note(ctx, bind(forward, inputs, {}), output)
    return original(ctx, inputs, output)


def _backward(kind: type, original: Any, ctx: Any, *grads: Any) -> Any:
    """Run and record the ``backward`` of a function that has a formula for it."""
    gradients = bind(original, (ctx, *grads), {})
    gradients.pop(next(iter(gradients)))
    arguments = gradients | ctx.metadata.get(_KEY, {})
    return _run_whole(kind, "backward", arguments, functools.partial(original, ctx, *grads))


def _run_whole(kind: type, method: Method, arguments: Arguments, run: Callable[[], Any]) -> Any:
    observers = [observer for observer in _observers if observer.is_recording()]
    with ExitStack() as stack:
        outermost = [observer for observer in observers if stack.enter_context(observer.inside())]
        result = run()
    for observer in outermost:
        observer.record(name_of(kind, method), arguments, result)
    return result


def _note(ctx: Any, arguments: Arguments, result: Any) -> None:
    """Keep the specs of a forward at its node, which has no tensors of it."""
    specs = SpecCache()
    made = next(iter(tensors_in(result)), None)
    with suppress(RuntimeError):
        ctx.metadata[_KEY] = {name: specs.spec(value) for name, value in (*arguments.items(), ("output", made))}
