"""One profiled block: attach the hooks and the dispatch mode at its start, return a `Trace` at its end."""

from __future__ import annotations

import inspect
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from profiler.errors import UnsupportedModelError
from profiler.trace.argument_specs import SpecCache, detach
from profiler.trace.force_eager import force_eager
from profiler.trace.inventory import ModelInventory, take_inventory
from profiler.trace.module_stack import ModuleStack
from profiler.trace.operator_calls import to_record
from profiler.trace.recorder import Recorder
from profiler.trace.storage_tracker import StorageTracker
from profiler.trace.tracing import TracingDetector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.memory import Memory
    from profiler.values.records import OpRecord, Shape, Value


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that a session recorded. It holds no tensor and no module."""

    #: The name of the model's class.
    model: str
    #: The arguments of the model's first call, by the parameter names of its ``forward``.
    inputs: tuple[tuple[str, Value], ...]
    inventory: ModelInventory
    #: The distinct operator calls, in the order of their first occurrence.
    records: tuple[OpRecord, ...]
    #: How often each module was called, by path.
    calls: dict[str, int]
    #: The shapes of the tensors in each module's first output, by path.
    outputs: dict[str, tuple[Shape, ...]]
    memory: Memory


class Session:
    """Records a model between ``start()`` and ``stop()``. A restarted session adds to what it has recorded.

    Example:
        >>> model = nn.Linear(4, 8, device="meta")
        >>> with Session(model) as session:
        ...     _ = model(torch.empty(2, 4, device="meta"))
        >>> [record.operator for record in session.trace().records if record.module == ""]
        ['aten.addmm.default']
    """

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare to record *model*; with None, only operators are recorded."""
        self.model = model
        self._modules = ModuleStack(model)
        self._storages = StorageTracker(model)
        self._tracing = TracingDetector()
        self._recorder = Recorder(self._modules, self._storages, self._tracing)
        self._inputs: tuple[tuple[str, Value], ...] = ()
        #: The arguments of the model's first call.
        self.first_call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._attached = ExitStack()

    def start(self) -> None:
        """Attach the hooks and enter the dispatch mode. If that fails, nothing stays attached."""
        with ExitStack() as stack:
            force_eager(stack)
            stack.callback(self._recorder.specs.release)
            stack.callback(self._modules.detach)
            stack.callback(self._storages.stop)
            self._storages.start()
            stack.callback(self._tracing.stop)
            self._tracing.start(_tensors_of(self.model))
            self._modules.attach(self._on_model_call, self._recorder, self._tracing.is_tracing)
            stack.enter_context(self._recorder.recording())
            self._attached = stack.pop_all()

    def __enter__(self) -> Self:
        """Start recording."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop recording."""
        self.stop()

    def stop(self) -> None:
        """Detach everything that ``start()`` attached.

        Raises:
            UnsupportedModelError: A scripted model ran fused kernels, whose operators are not dispatched.
        """
        self._attached.close()
        _reject_fused_script(self._modules.modules)

    def trace(self) -> Trace:
        """Return what was recorded so far."""
        return Trace(
            model=type(self.model).__name__ if self.model is not None else "operators",
            inputs=self._inputs,
            inventory=take_inventory(self.model),
            records=tuple(to_record(call, times) for call, times in self._recorder.calls.items()),
            calls=dict(self._modules.calls),
            outputs=dict(self._modules.outputs),
            memory=self._storages.memory(),
        )

    def _on_model_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Mark the arguments of a call of the model as inputs; record those of the first call by name."""
        self._storages.on_model_call((args, kwargs))
        if self._inputs:
            return
        self.first_call = args, kwargs
        specs = SpecCache()
        arguments = dict(zip(_parameter_names(self.model, len(args)), args, strict=False)) | kwargs
        self._inputs = tuple((name, detach(specs.spec(value))) for name, value in arguments.items())


def _tensors_of(model: nn.Module | None) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()] if model is not None else []


def _parameter_names(model: nn.Module | None, count: int) -> list[str]:
    try:
        names = list(inspect.signature(model.forward).parameters) if model is not None else []
    except (TypeError, ValueError):
        names = []
    return [*names[:count], *(f"input{i}" for i in range(len(names), count))]


def _reject_fused_script(modules: Iterable[nn.Module]) -> None:
    """Raise if a scripted model ran kernels made by a fuser: the operators inside them are not dispatched."""
    if not any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        return
    graph = torch._C._last_executed_optimized_graph()
    fused = {node.kind() for node in graph.nodes() if "Group" in node.kind()} if graph is not None else set()
    if fused:
        kinds = ", ".join(sorted(fused))
        msg = f"the scripted model ran fused kernels ({kinds}), whose operators cannot be seen; profile the eager model"
        raise UnsupportedModelError(msg)
