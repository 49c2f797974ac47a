"""One profiled block: what is attached when it begins, and what is known when it ends."""

from __future__ import annotations

import inspect
import sys
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from profiler.errors import UnsupportedModelError
from profiler.trace.argument_specs import SpecCache
from profiler.trace.backward_attribution import BackwardAttribution
from profiler.trace.inventory import ModelInventory, take_inventory
from profiler.trace.module_stack import ModuleStack
from profiler.trace.operator_calls import inert, record
from profiler.trace.recorder import Recorder
from profiler.trace.storage_tracker import StorageTracker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.memory import Memory
    from profiler.values.records import OpRecord, Shape, Value


@dataclass(frozen=True, slots=True)
class Trace:
    """What a session saw."""

    model: str
    inputs: tuple[tuple[str, Value], ...]
    inventory: ModelInventory
    records: tuple[OpRecord, ...]
    calls: dict[str, int]
    outputs: dict[str, tuple[Shape, ...]]
    memory: Memory


class Session:
    """Watches a model between ``start()`` and ``stop()``; may be started again, and goes on where it was."""

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare to watch *model*; None watches operators alone."""
        self.model = model
        self._scopes = ModuleStack(model, self._see_inputs)
        self._storages = StorageTracker(model)
        self._recorder = Recorder(self._scopes, BackwardAttribution(model), self._storages)
        self._inputs: tuple[tuple[str, Value], ...] = ()
        #: The arguments of the root's first call.
        self.first_call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._attached = ExitStack()

    def start(self) -> None:
        """Attach the hooks and enter the dispatch mode; on a failure nothing stays attached."""
        with ExitStack() as stack:
            _force_eager(stack)
            stack.callback(self._recorder.observer.release)
            stack.callback(self._scopes.detach)
            stack.callback(self._storages.stop)
            self._storages.start()
            self._scopes.attach()
            stack.enter_context(self._recorder.optimizer_steps())
            stack.enter_context(self._recorder)
            self._attached = stack.pop_all()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def stop(self) -> None:
        """Take away everything that was attached."""
        self._attached.close()
        _refuse_fused_script(self._scopes.modules)

    def trace(self) -> Trace:
        """Freeze what was seen so far."""
        return Trace(
            model=type(self.model).__name__ if self.model is not None else "operators",
            inputs=self._inputs,
            inventory=take_inventory(self.model),
            records=tuple(record(call, times) for call, times in self._recorder.calls.items()),
            calls=dict(self._scopes.calls),
            outputs=dict(self._scopes.outputs),
            memory=self._storages.memory(),
        )

    def _see_inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Remember what the root was first called with, by the names of its ``forward``."""
        self._storages.asked((args, kwargs))
        if self._inputs:
            return
        self.first_call = args, kwargs
        observer = SpecCache()
        named = dict(zip(_parameter_names(self.model, len(args)), args, strict=False)) | kwargs
        self._inputs = tuple((name, inert(observer.value(value))) for name, value in named.items())


def _parameter_names(model: nn.Module | None, count: int) -> list[str]:
    try:
        names = list(inspect.signature(model.forward).parameters) if model is not None else []
    except (TypeError, ValueError):
        names = []
    return [*names[:count], *(f"input{i}" for i in range(len(names), count))]


def _force_eager(stack: ExitStack) -> None:
    """Let compiled models run as the eager program that they compile; their compile cache is not touched.

    Importing the compiler takes seconds: where nobody did, no model is compiled. A compiled module warns of global
    hooks that they fire for its wrapper too; the scopes know, since the wrapper has a row of its own.
    """
    if "torch._dynamo" in sys.modules:
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=r"Using `torch\.compile\(module\)` when there are global hooks")


def _refuse_fused_script(modules: Iterable[nn.Module]) -> None:
    """Refuse a scripted model of which a fuser made a kernel: no operator inside is dispatched."""
    if not any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        return
    graph = torch._C._last_executed_optimized_graph()
    fused = {node.kind() for node in graph.nodes() if "Group" in node.kind()} if graph is not None else set()
    if fused:
        kinds = ", ".join(sorted(fused))
        msg = f"the scripted model ran fused ({kinds}), where no operator can be seen; profile the eager module"
        raise UnsupportedModelError(msg)
