"""Run higher-order operators so that what they run is recorded: conditions, loops, ``flex_attention`` and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._C import DispatchKey
from torch._higher_order_ops.base_hop import BaseHOP

from profiler.trace.eager_control_flow import run_scan
from profiler.trace.flex_attention import FlexAttention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.utils._python_dispatch import TorchDispatchMode

    from profiler.trace.argument_specs import SpecCache

#: Those that refuse to run under a dispatch mode. All that they run is in the functions they call.
_CALLS_FUNCTIONS = frozenset({"cond", "switch", "strict_mode", "invoke_subgraph"})


def run_higher_order(
    mode: TorchDispatchMode,
    specs: SpecCache,
    count: Callable[[Any, tuple[Any, Any, Any]], None],
    on_written: Callable[[Any], None],
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run a higher-order operator, with *mode* for the operators inside it; without an eager kernel, count the call.

    Args:
        mode: Records operators.
        specs: Makes the specs of arguments.
        count: Receives an operator and the specs of a call that is counted itself.
        on_written: Receives arguments that the operator may have written to.
        func: The operator.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    implementation = func.py_kernels.get(DispatchKey.CompositeExplicitAutograd)
    if implementation is None:
        result = func(*args, **kwargs)
        count(func, specs.call_specs(None, args, kwargs, result))
        on_written((args, kwargs))
        return result
    if func.name() == "scan":  # its kernel refuses a mode too, but runs operators of its own between the calls
        with mode:
            return run_scan(*args, **kwargs)
    if func.name() in _CALLS_FUNCTIONS or isinstance(func, BaseHOP):
        return implementation(*[_recorded(mode, argument) for argument in args], **kwargs)
    if func.name() != "flex_attention":
        with mode:
            return implementation(*args, **kwargs)
    with FlexAttention(mode.__torch_dispatch__, specs) as inside:
        result = implementation(*args, **kwargs)
    count(func, specs.call_specs(None, args[:3], {"scores": inside.scores}, result))
    return result


def _recorded(mode: TorchDispatchMode, argument: Any) -> Any:
    """Return *argument*; if it is a function, one that calls it and records the operators inside."""
    if not callable(argument) or isinstance(argument, torch.Tensor):
        return argument

    def call(*args: Any) -> Any:
        with mode:
            return argument(*args)

    return call
