"""``torch.cond`` and the loops like ``scan`` run as plain code while a block is profiled, so that gradients flow.

Torch compiles their functions into one operator, which then knows the tensors that they capture. Nothing compiles
while a block is profiled, and what they capture, such as the parameters of a module, would have no gradient.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch._C import DispatchKey
from torch._higher_order_ops.map import map_impl
from torch._higher_order_ops.scan import generic_scan, scan_op
from torch._higher_order_ops.while_loop import while_loop_op

from profiler.trace.dispatch_stack import hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRACERS = (torch._C._TorchDispatchModeKey.FAKE, torch._C._TorchDispatchModeKey.PROXY)


@contextmanager
def plain_control_flow() -> Iterator[None]:
    """Call the functions of conditions and loops directly in the block; the dispatcher is changed for all threads."""
    originals = {operator: operator.py_kernels[DispatchKey.Autograd] for operator in _PLAIN}
    try:
        for operator, run in _PLAIN.items():
            _set_kernel(operator, partial(_call, run, originals[operator]))
        yield
    finally:
        for operator, original in originals.items():
            _set_kernel(operator, original)


def _set_kernel(operator: Any, kernel: Any) -> None:
    operator.py_kernels[DispatchKey.Autograd] = kernel
    operator._dispatch_cache.clear()


def _call(run: Callable[..., Any], original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run an operator as plain code, unless torch traces it."""
    is_traced = any(torch._C._get_dispatch_mode(tracer) is not None for tracer in _TRACERS)
    return (original if is_traced else run)(*args, **kwargs)


def _cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
    with hidden():
        is_true = bool(pred)
    return (true_fn if is_true else false_fn)(*operands)


def run_scan(combine_fn: Callable[..., Any], init: Any, xs: Any, additional_inputs: Any, *_: Any, **__: Any) -> Any:
    """Run ``scan`` as its kernel does, which would refuse a dispatch mode."""
    return generic_scan(combine_fn, init, xs, additional_inputs=additional_inputs)


_PLAIN: dict[Any, Callable[..., Any]] = {
    torch.ops.higher_order.cond: _cond,
    scan_op: run_scan,
    map_impl: map_impl.py_kernels[DispatchKey.CompositeExplicitAutograd],
    while_loop_op: while_loop_op.py_kernels[DispatchKey.CompositeExplicitAutograd],
}
