"""``torch.cond`` runs its branch as plain code while a block is profiled, so that gradients flow through it.

Torch compiles the two branches into one operator, which then knows the tensors that they capture. Nothing compiles
while a block is profiled, and what they capture, such as the parameters of a module, would have no gradient.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch._C import DispatchKey

from profiler.trace.dispatch_stack import hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COND = torch.ops.higher_order.cond
_TRACERS = (torch._C._TorchDispatchModeKey.FAKE, torch._C._TorchDispatchModeKey.PROXY)


@contextmanager
def plain_conditions() -> Iterator[None]:
    """Call the chosen branch of ``torch.cond`` directly in the block; the dispatcher is changed for all threads."""
    kernels, original = _COND.py_kernels, _COND.py_kernels[DispatchKey.Autograd]

    def call(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
        if any(torch._C._get_dispatch_mode(tracer) is not None for tracer in _TRACERS):
            return original(pred, true_fn, false_fn, operands)
        with hidden():
            is_true = bool(pred)
        return (true_fn if is_true else false_fn)(*operands)

    try:
        kernels[DispatchKey.Autograd] = call
        _COND._dispatch_cache.clear()
        yield
    finally:
        kernels[DispatchKey.Autograd] = original
        _COND._dispatch_cache.clear()
