"""Operators as Python calls them: ``aten.linear`` whole, and not only the ``aten.addmm`` that it is made of.

The trace sees what runs, which is what is left of a composite operator once it is taken apart. A counter that follows
the calls (a tracer, say) counts the composite operators themselves, so whoever explains it needs both, side by side.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch._C import DispatchKey
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from profiler.trace.argument_specs import SpecCache
from profiler.trace.dispatch_kind import DispatchKind, classify, has_backend_kernel, has_own_dispatch
from profiler.trace.module_stack import ModuleStack
from profiler.trace.operator_calls import Call, record
from profiler.trace.preserve_state import preserve_buffers_and_rng

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType, FrameType

    from torch import nn

    from profiler.values.records import OpRecord

#: Composite operators that torch's tracers look into. Source: DONT_RECORD_TRACE in tools/autograd/gen_trace_type.py;
#: its convolutions stay whole here, since each of them is one ``aten::_convolution`` inside.
_TRANSPARENT = frozenset({"aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell"})
#: By the module that holds it. Source: the uses of torchvision._is_tracing() in that file.
_SCRIPTED = (("torchvision.models.detection.roi_heads", "paste_masks_in_image"),)


@dataclass(frozen=True, slots=True)
class CompositeCall:
    """An operator that Python called, and what ran for it."""

    #: What was called, and how often.
    record: OpRecord
    #: What ran for **one** call; the operator itself, where it is not made of others.
    parts: tuple[OpRecord, ...]
    #: Whether the output of the model depends on it.
    used: bool
    #: The function that called it, if a tracer sees that as one call: a ``torch.autograd.Function``, or a scripted one.
    function: str = ""


def record_composite_calls(model: nn.Module, run: Callable[[], object]) -> tuple[CompositeCall, ...]:
    """List the distinct operators that Python calls during *run*, which calls *model*.

    The run is one with gradients enabled, where modules choose no fast path, but below autograd: so composite operators
    arrive before they are taken apart, and no graph is kept.
    """
    scopes, steps = ModuleStack(model, lambda *_: None), Steps()

    def see(module: nn.Module, _args: Any, output: Any) -> None:
        if module is model:
            steps.end(output)

    scopes.attach()
    handle = register_module_forward_hook(see)
    try:
        with (
            preserve_buffers_and_rng(model),
            torch.enable_grad(),
            torch._C._AutoDispatchBelowAutograd(),
            _CompositeMode(scopes, steps),
        ):
            run()
    finally:
        handle.remove()
        scopes.detach()
    return steps.composite_calls()


class _Step(NamedTuple):
    """One call, by the storages that it reads and writes."""

    call: Call
    parts: tuple[tuple[Call, int], ...]
    function: str
    reads: frozenset[int]
    writes: frozenset[int]


class Steps:
    """The calls in their order, and which of them the output depends on."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._steps: list[_Step] = []
        self._returned: set[int] = set()
        self._storages: dict[int, StorageWeakRef] = {}
        self._functions = dict(chain(_functions(), _scripted()))

    def add(self, call: Call, parts: Counter[Call], taken: list[Any], given: list[Any]) -> None:
        """Note a call: what it is made of, what it took and what it gave or changed."""
        reads, writes = self._identities(taken), self._identities(given)
        self._steps.append(_Step(call, tuple(parts.items()), _running(self._functions), reads, writes))

    def end(self, output: Any) -> None:
        """Say what the model returned."""
        self._returned |= self._identities(tensors_in(output))

    def composite_calls(self) -> tuple[CompositeCall, ...]:
        """Join equal calls; going back from the output, a call is used if something used reads what it wrote."""
        live = set(self._returned)
        counts: Counter[tuple[Call, tuple[tuple[Call, int], ...], bool, str]] = Counter()
        for step in reversed(self._steps):
            used = not live.isdisjoint(step.writes)
            live |= step.reads if used else frozenset()
            counts[step.call, step.parts, used, step.function] += 1
        return tuple(
            CompositeCall(record(call, times), tuple(record(*part) for part in parts), used, function)
            for (call, parts, used, function), times in reversed(counts.items())
        )

    def _identities(self, values: Iterable[Any]) -> frozenset[int]:
        """Name the storages of tensors. A weak reference keeps the name, not the data, so none is given twice."""
        found = [StorageWeakRef(v.untyped_storage()) for v in values if isinstance(v, torch.Tensor)]
        for reference in found:
            self._storages.setdefault(reference.cdata, reference)
        return frozenset(reference.cdata for reference in found)


class _CompositeMode(TorchDispatchMode):
    """Sees the operators that Python calls, and what each is made of."""

    def __init__(self, scopes: ModuleStack, steps: Steps) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._scopes = scopes
        self._steps = steps
        self._observer = SpecCache()
        #: What ran so far for the call that is running.
        self._parts: Counter[Call] | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave our handler as it is: torch's guard around it imports the compiler."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and note it if Python called it."""
        manner, _, _ = classify(func)
        if manner is DispatchKind.METADATA or any(map(has_own_dispatch, types)):
            return NotImplemented
        if self._parts is not None or func.name() in _TRANSPARENT:
            return self._run(func, manner, args, kwargs or {})
        path, self._parts = self._scopes.current, Counter()
        try:
            result = self._run(func, manner, args, kwargs or {})
            given = tree_leaves((result, args, kwargs) if _changes(func) else result)
            call = Call(func, path, "forward", *self._observer.call(None, args, kwargs or {}, result))
            self._steps.add(call, self._parts, tree_leaves((args, kwargs)), given)
        finally:
            self._parts = None
        return result

    def _run(self, func: Any, manner: DispatchKind, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Take a composite operator apart, as the recorder does; count any other."""
        composite = manner is DispatchKind.COMPOSITE and not has_backend_kernel(func, args)
        if composite or (manner is DispatchKind.DEVICE_DEPENDENT and not args[0].is_meta):
            with self:
                return func._op_dk(DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        result = func(*args, **kwargs)
        if manner is not DispatchKind.VIEW and self._parts is not None:
            _, ways, _ = classify(func)
            seen = self._observer.call(ways, args, kwargs, result)
            self._parts[Call(func, self._scopes.current, "forward", *seen)] += 1
        return result


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in what a model returned: in lists, mappings and dataclasses, however deep."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif is_dataclass(value):
        yield from tensors_in([getattr(value, field.name) for field in fields(value)])


def _changes(func: Any) -> bool:
    """Say whether an operator changes an argument."""
    schema = getattr(func, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _functions(kind: type = torch.autograd.Function) -> Iterator[tuple[CodeType, str]]:
    """Yield the code of every custom ``torch.autograd.Function``, with its name."""
    inherited: type
    for inherited in kind.__subclasses__():
        code = getattr(getattr(inherited, "forward", None), "__code__", None)
        if code is not None:
            yield code, inherited.__qualname__
        yield from _functions(inherited)


def _scripted() -> Iterator[tuple[CodeType, str]]:
    """Yield the code of what libraries replace by a scripted function while they are traced, with its name."""
    for place, name in _SCRIPTED:
        function = getattr(sys.modules.get(place), name, None)
        if function is not None:
            yield function.__code__, name


def _running(functions: dict[CodeType, str]) -> str:
    """Name the one of *functions* that is running; "" if none is."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in functions:
            return functions[frame.f_code]
        frame = frame.f_back
    return ""
