"""``torch.utils.flop_counter.FlopCounterMode``: two FLOPs for each MAC of every contraction, backward ones too.

The original's own mode finds the modules and writes the table; each operator is priced by our formulas.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import flop_counter

from profiler.formulas import rule_for
from profiler.tally.tally import price
from profiler.trace.calls import Call, record
from profiler.trace.observe import Observer
from profiler.trace.telling import telling

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["FlopCounterMode"]
_KINDS = frozenset({"formula", "foreign"})


class FlopCounterMode(flop_counter.FlopCounterMode):
    """Counts the FLOPs of contractions in a ``with`` block, by module and operator."""

    def __init__(
        self,
        mods: nn.Module | list[nn.Module] | None = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: dict[Any, Any] | None = None,
        skip_unsupported: bool = False,
    ) -> None:
        """Prepare to count; a function in *custom_mapping* takes the place of our formula."""
        super().__init__(mods, depth, display, custom_mapping, skip_unsupported)
        mine = set(custom_mapping or {})
        kept = {op: f for op, f in self.flop_registry.items() if op in mine or not hasattr(op, "overloads")}
        self.flop_registry = _Formulas(kept)


class _Formulas(dict[Any, Any]):
    """Looks an operator up among our formulas, where it is not given otherwise."""

    def __contains__(self, packet: object) -> bool:
        return super().__contains__(packet) or _overload(packet) is not None

    def __missing__(self, packet: Any) -> Callable[..., int]:
        overload = _overload(packet)

        def flops(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
            seen = Observer().call(telling(overload), args, kwargs, out_val)
            return 2 * price(record(Call(overload, "", "forward", *seen), 1)).macs

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
