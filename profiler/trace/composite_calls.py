"""Record operators as Python calls them: ``aten.linear``, and not only the ``aten.addmm`` that it decomposes into.

The trace records the operators that run, after composite operators are decomposed. A counter that follows the calls
instead (one based on tracing, say) counts the composite operators. To explain such a counter we need both.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._pytree import tree_leaves

from profiler.trace import dispatch_stack
from profiler.trace.argument_specs import SpecCache
from profiler.trace.dispatch_kind import DispatchKind, classify, has_backend_kernel, has_own_dispatch, is_mutable
from profiler.trace.meta_recurrent import decompose
from profiler.trace.module_stack import ModuleStack
from profiler.trace.operator_calls import OperatorCall, to_record
from profiler.trace.preserve_state import preserve_state
from profiler.util.dispatch_modes import PlainDispatchMode
from profiler.util.interrupts import interruptible, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType, FrameType

    from torch import nn

    from profiler.values.records import OpRecord

#: Composite operators whose parts torch's tracers record instead. Source: DONT_RECORD_TRACE in
#: tools/autograd/gen_trace_type.py. The convolutions listed there are left out: each is one ``aten::_convolution``.
_TRANSPARENT = frozenset({"aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell"})
#: Functions that libraries replace with a scripted one while they are traced, by module.
#: Source: the uses of torchvision._is_tracing() in that module.
_SCRIPTED = (("torchvision.models.detection.roi_heads", "paste_masks_in_image"),)


@dataclass(frozen=True, slots=True)
class CompositeCall:
    """An operator that Python called, and the operators that ran for it."""

    #: The operator, and how often it was called.
    record: OpRecord
    #: What ran for **one** call. An operator that is not composite is its own only part.
    parts: tuple[OpRecord, ...]
    #: Whether the model's output depends on it.
    used: bool
    #: The function that called it, if a tracer sees that as one call: a ``torch.autograd.Function``, or a scripted one.
    function: str = ""


def record_composite_calls(
    model: nn.Module, run: Callable[[], object], place: Callable[[ModuleStack], str] = attrgetter("current")
) -> tuple[CompositeCall, ...]:
    """Record the distinct operators that Python calls during *run*, which calls *model*.

    Gradients are enabled, so that modules take no inference fast path, but dispatch starts below autograd: composite
    operators arrive before they are decomposed, and no graph is kept. Buffers and the random state are restored.

    Args:
        model: The model.
        run: Runs one forward pass.
        place: Returns the ``module`` of the record of a call: the path of the innermost running module, if not given.
    """
    modules, log = ModuleStack(model), _CallLog()

    def on_forward(module: nn.Module, _args: Any, output: Any) -> None:
        if module is model:
            log.mark_output(output)

    with uninterrupted(), preserve_state(model) as snapshot, ExitStack() as stack:
        mode = _CompositeMode(modules, log, place, snapshot.before_overwrite)
        stack.callback(modules.detach)
        modules.attach()
        stack.callback(register_module_forward_hook(on_forward).remove)
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch._C._AutoDispatchBelowAutograd())
        stack.callback(dispatch_stack.remove, mode)
        dispatch_stack.enter(mode)
        with interruptible():
            run()
    return log.composite_calls()


class _LoggedCall(NamedTuple):
    """One call, and the storages that it reads and writes."""

    call: OperatorCall
    parts: tuple[tuple[OperatorCall, int], ...]
    function: str
    reads: frozenset[int]
    writes: frozenset[int]


class _CallLog:
    """The calls in order, and the storages of the model's output."""

    def __init__(self) -> None:
        """Start empty."""
        self._calls: list[_LoggedCall] = []
        self._output_storages: set[int] = set()
        self._storages: dict[int, StorageWeakRef] = {}
        self._functions = dict(chain(_autograd_functions(), _scripted_functions()))

    def append(self, call: OperatorCall, parts: Counter[OperatorCall], read: list[Any], written: list[Any]) -> None:
        """Append a call with its parts, and the values that it read and wrote."""
        function = _running_function(self._functions)
        self._calls.append(
            _LoggedCall(call, tuple(parts.items()), function, self._storage_ids(read), self._storage_ids(written))
        )

    def mark_output(self, output: Any) -> None:
        """Mark the storages that the model returned."""
        self._output_storages |= self._storage_ids(tensors_in(output))

    def composite_calls(self) -> tuple[CompositeCall, ...]:
        """Join equal calls and determine which are used, by following the storages backward from the output."""
        live = set(self._output_storages)
        counts: Counter[tuple[OperatorCall, tuple[tuple[OperatorCall, int], ...], bool, str]] = Counter()
        for logged in reversed(self._calls):
            used = not live.isdisjoint(logged.writes)
            live |= logged.reads if used else frozenset()
            counts[logged.call, logged.parts, used, logged.function] += 1
        return tuple(
            CompositeCall(to_record(call, times), tuple(to_record(*part) for part in parts), used, function)
            for (call, parts, used, function), times in reversed(counts.items())
        )

    def _storage_ids(self, values: Iterable[Any]) -> frozenset[int]:
        """Return the ids of the tensors' storages. A weak reference frees the data, but keeps the id from reuse."""
        references = [StorageWeakRef(v.untyped_storage()) for v in values if isinstance(v, torch.Tensor)]
        for reference in references:
            self._storages.setdefault(reference.cdata, reference)
        return frozenset(reference.cdata for reference in references)


class _CompositeMode(PlainDispatchMode):
    """Logs the operators that Python calls, and the parts of each."""

    def __init__(
        self,
        modules: ModuleStack,
        log: _CallLog,
        place: Callable[[ModuleStack], str],
        before_overwrite: Callable[[Iterable[Any]], None],
    ) -> None:
        super().__init__()
        self._modules = modules
        self._place = place
        self._before_overwrite = before_overwrite
        self._log = log
        self._specs = SpecCache()
        #: What has run so far for the current call; None between calls.
        self._parts: Counter[OperatorCall] | None = None

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and log it if Python called it."""
        kind, *_ = classify(func)
        if kind is DispatchKind.METADATA or any(map(has_own_dispatch, types)):
            return NotImplemented
        if self._parts is not None or func.name() in _TRANSPARENT:
            return self._run(func, kind, args, kwargs or {})
        path, self._parts = self._place(self._modules), Counter()
        try:
            result = self._run(func, kind, args, kwargs or {})
            written = tree_leaves((result, args, kwargs) if is_mutable(func) else result)
            call = OperatorCall(func, path, "forward", *self._specs.call_specs(None, args, kwargs or {}, result))
            self._log.append(call, self._parts, tree_leaves((args, kwargs)), written)
        finally:
            self._parts = None
        return result

    def _run(self, func: Any, kind: DispatchKind, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Decompose a composite operator, as the recorder does; run any other and count it as a part."""
        composite = kind is DispatchKind.COMPOSITE and not has_backend_kernel(func, args)
        if composite or (kind is DispatchKind.DEVICE_DEPENDENT and not args[0].is_meta):
            with self:
                return decompose(func, args, kwargs)
        if is_mutable(func):
            self._before_overwrite((*args, *kwargs.values()))
        result = func(*args, **kwargs)
        if kind is not DispatchKind.VIEW and self._parts is not None:
            _, readers, *_ = classify(func)
            specs = self._specs.call_specs(readers, args, kwargs, result)
            self._parts[OperatorCall(func, self._modules.current, "forward", *specs)] += 1
        return result


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a model's output: in nested lists, tuples, mappings and dataclasses."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif is_dataclass(value):
        yield from tensors_in([getattr(value, field.name) for field in fields(value)])


def _autograd_functions(base: type = torch.autograd.Function) -> Iterator[tuple[CodeType, str]]:
    """Yield the code of the forward of every custom ``torch.autograd.Function``, with the name of its class."""
    subclass: type
    for subclass in base.__subclasses__():
        code = getattr(getattr(subclass, "forward", None), "__code__", None)
        if code is not None:
            yield code, subclass.__qualname__
        yield from _autograd_functions(subclass)


def _scripted_functions() -> Iterator[tuple[CodeType, str]]:
    """Yield the code of each function in ``_SCRIPTED`` whose module is imported, with its name."""
    for module, name in _SCRIPTED:
        function = getattr(sys.modules.get(module), name, None)
        if function is not None:
            yield function.__code__, name


def _running_function(functions: dict[CodeType, str]) -> str:
    """Return the name of the innermost of *functions* on the call stack; "" if none is."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in functions:
            return functions[frame.f_code]
        frame = frame.f_back
    return ""
