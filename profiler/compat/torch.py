"""A replacement for ``torch.utils.flop_counter.FlopCounterMode``: two FLOPs per MAC of every contraction.

It subclasses the original, which attributes operators to modules and prints the table; only the formulas are replaced
by this package's, for the backward pass too. An operator that has no formula here counts what the original counts: by a
formula registered with ``torch.utils.flop_counter.register_flop_formula``, or 0.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.utils import flop_counter

from profiler.formulas import RuleKind, rule_for
from profiler.tally.tally import cost_record
from profiler.trace.argument_specs import SpecCache
from profiler.trace.operator_calls import OperatorCall, to_record
from profiler.trace.value_readers import value_readers_of
from profiler.util.interrupts import guarded, intercepted, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FlopCounterMode"]


class FlopCounterMode(flop_counter.FlopCounterMode):
    """Counts the FLOPs of contractions in a ``with`` block, by module and operator.

    Example:
        >>> import torch
        >>> with FlopCounterMode(display=False) as counter:
        ...     _ = torch.empty(4, 20, device="meta") @ torch.empty(20, 30, device="meta")
        >>> counter.get_total_flops()
        4800
    """

    @wraps(flop_counter.FlopCounterMode.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of the original.

        Formulas in *custom_mapping* replace ours; those registered with torch count operators that have none here.
        """
        super().__init__(*args, **kwargs)
        custom = set(signature(super().__init__).bind(*args, **kwargs).arguments.get("custom_mapping") or {})
        registry = {op: f for op, f in self.flop_registry.items() if op in custom or _overload(op) is None}
        self.flop_registry = _FormulaRegistry(registry)
        #: What leaving the block undoes.
        self._attached = ExitStack()

    def __enter__(self) -> Self:
        """Start to count. An interrupt waits until it has started, and ends it again."""
        try:
            with uninterrupted(), ExitStack() as stack:
                stack.enter_context(intercepted())
                super().__enter__()  # type: ignore[no-untyped-call]
                stack.push(super().__exit__)
                self._attached = stack.pop_all()
            return self  # noqa: TRY300 - an interrupt may arrive here too
        except BaseException:
            with uninterrupted():
                self._attached.close()
            raise

    @guarded
    def __exit__(self, *args: Any) -> Any:  # noqa: PYI036 - as in the original
        """Stop to count, and print the table if it is wanted."""
        with uninterrupted():
            return self._attached.__exit__(*args)


class _FormulaRegistry(dict[Any, Any]):
    """Returns our formula for every operator that has no entry."""

    def __contains__(self, packet: object) -> bool:
        return super().__contains__(packet) or _overload(packet) is not None

    def __missing__(self, packet: Any) -> Callable[..., int]:
        overload = _overload(packet)

        def flops(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
            called = _called(packet, args, kwargs) or overload
            specs = SpecCache().call_specs(value_readers_of(called), args, kwargs, out_val)
            return 2 * cost_record(to_record(OperatorCall(called, "", "forward", *specs), 1)).macs

        return flops


@cache
def _overload(packet: Any) -> Any:
    """Return the overload whose schema our formula reads; None without one (a Triton kernel), or if it decomposes."""
    names = packet.overloads() if hasattr(packet, "overloads") else []
    for overload in (getattr(packet, name) for name in names):
        rule = rule_for(str(overload))
        if rule is not None and rule.kind is RuleKind.FORMULA and not _is_composite(overload):
            return overload
    return None


def _called(packet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the overload that a call of *packet* with these arguments runs; None if torch does not tell.

    The original hands over the packet alone, and two overloads may differ in what they take: ``bernoulli_(p=0.5)`` has
    no tensor of probabilities.
    """
    try:
        name = torch._C._jit_resolve_packet(packet._qualified_op_name, *args, **kwargs)
    except (AttributeError, RuntimeError):
        return None
    return getattr(packet, name)


def _is_composite(overload: Any) -> bool:
    """Return whether an operator always decomposes into others; the dispatcher does not know those of TorchScript."""
    name = overload.name()
    is_known = torch._C._dispatch_has_kernel(name)
    return not is_known or torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
