"""Record operators on distributed tensors as Python calls them: with the shapes of the whole tensors.

The trace records what a rank runs: operators on its local shards. A counter that stands above the distributed tensors
sees one call, of the shape that the tensor has over all ranks. To explain such a counter we need both.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from profiler.trace import dispatch_stack
from profiler.trace.argument_specs import SpecCache
from profiler.trace.composite_calls import CompositeCall
from profiler.trace.dispatch_kind import DispatchKind, classify
from profiler.trace.module_stack import ModuleStack
from profiler.trace.operator_calls import OperatorCall, to_record
from profiler.trace.preserve_state import run_preserving
from profiler.util.dispatch_modes import PlainDispatchMode
from profiler.util.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    #: What ran for one call, and how often.
    Parts = tuple[tuple[OperatorCall, int], ...]


def record_distributed_calls(model: nn.Module, run: Callable[[], object]) -> tuple[CompositeCall, ...]:
    """Record the distinct operators on distributed tensors during *run*, each with the local operators that ran for it.

    Args:
        model: The model; without a distributed parameter nothing runs.
        run: Runs one forward pass of it. The model and the random state are restored.
    """
    kind: Any = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)
    if kind is None or not any(isinstance(parameter, kind) for parameter in model.parameters()):
        return ()
    modules = ModuleStack(model)
    mode = _DistributedMode(modules, kind)

    def run_recorded() -> None:  # inside of what restores the model, which then sees the operators on shards
        with mode:
            run()

    with uninterrupted(), ExitStack() as stack:
        stack.callback(modules.detach)
        modules.attach()
        stack.callback(dispatch_stack.remove, mode)
        run_preserving(model, run_recorded)
    return tuple(
        CompositeCall(to_record(call, times), tuple(to_record(*part) for part in parts), used=True)
        for (call, parts), times in mode.calls.items()
    )


class _DistributedMode(PlainDispatchMode):
    """Counts the operators on distributed tensors, and what runs for each."""

    def __init__(self, modules: ModuleStack, kind: type[torch.Tensor]) -> None:
        super().__init__()
        self.calls: Counter[tuple[OperatorCall, Parts]] = Counter()
        self._modules, self._kind = modules, kind
        self._specs = SpecCache()
        #: What has run so far for the current call; None between calls.
        self._parts: Counter[OperatorCall] | None = None

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator; log it if it is on a distributed tensor, or runs for one that is."""
        kwargs = kwargs or {}
        if classify(func)[0] is DispatchKind.METADATA:
            return NotImplemented
        is_distributed = any(isinstance(leaf, self._kind) for leaf in tree_leaves((args, kwargs)))
        if not is_distributed:
            result = func(*args, **kwargs)
            if self._parts is not None:
                self._parts[self._call(func, args, kwargs, result)] += 1
            return result
        if self._parts is not None:
            return NotImplemented  # the tensor runs operators on its shard, which are the parts
        parts: Counter[OperatorCall] = Counter()
        self._parts = parts
        try:
            with self:
                result = func(*args, **kwargs)
        finally:
            self._parts = None
        self.calls[self._call(func, args, kwargs, result), tuple(parts.items())] += 1
        return result

    def _call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> OperatorCall:
        specs = self._specs.call_specs(None, args, kwargs, result)
        return OperatorCall(func, self._modules.current, "forward", *specs)
