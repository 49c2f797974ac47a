"""``torch.utils.flop_counter.FlopCounterMode``: two FLOPs for each MAC of every contraction, backward ones too.

The original's own mode finds the modules and writes the table; each operator is priced by our formulas.
"""

from __future__ import annotations

from functools import cache, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import flop_counter

from profiler.formulas import rule_for
from profiler.tally.tally import cost_record
from profiler.trace.argument_specs import SpecCache
from profiler.trace.operator_calls import OperatorCall, to_record
from profiler.trace.value_readers import value_readers_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FlopCounterMode"]
_KINDS = frozenset({"formula", "foreign"})


class FlopCounterMode(flop_counter.FlopCounterMode):
    """Counts the FLOPs of contractions in a ``with`` block, by module and operator."""

    @wraps(flop_counter.FlopCounterMode.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Prepare to count, with the arguments of the installed torch; *custom_mapping* replaces our formulas."""
        super().__init__(*args, **kwargs)
        mine = set(signature(super().__init__).bind(*args, **kwargs).arguments.get("custom_mapping") or {})
        kept = {op: f for op, f in self.flop_registry.items() if op in mine or not hasattr(op, "overloads")}
        self.flop_registry = _Formulas(kept)


class _Formulas(dict[Any, Any]):
    """Looks an operator up among our formulas, where it is not given otherwise."""

    def __contains__(self, packet: object) -> bool:
        return super().__contains__(packet) or _overload(packet) is not None

    def __missing__(self, packet: Any) -> Callable[..., int]:
        overload = _overload(packet)

        def flops(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
            seen = SpecCache().call_specs(value_readers_of(overload), args, kwargs, out_val)
            return 2 * cost_record(to_record(OperatorCall(overload, "", "forward", *seen), 1)).macs

        return flops


@cache
def _overload(packet: Any) -> Any:
    """Give the overload by whose schema a contraction is priced; None for what has no formula, or is made of others."""
    names = packet.overloads() if hasattr(packet, "overloads") else []
    for overload in (getattr(packet, name) for name in names):
        rule = rule_for(str(overload))
        if rule is not None and rule.kind in _KINDS and not _is_composite(overload):
            return overload
    return None


def _is_composite(overload: Any) -> bool:
    """Say whether an operator is made of others; those of the JIT alone are unknown to the dispatcher."""
    name = overload.name()
    known = torch._C._dispatch_has_kernel(name)
    return not known or torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
