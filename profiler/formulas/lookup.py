"""Which rule counts an operator.

In this order: a formula of its own; the formula of its functional form; free; a mover of data; the class of pointwise
operators; a formula that somebody registered with torch's own counter. What has none is uncounted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch

import profiler.formulas.families as package
from profiler.formulas import free, pointwise, registry, torch_registry
from profiler.util.autoload import import_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.values.records import Cost, OpRecord


@dataclass(frozen=True, slots=True)
class Rule:
    """How an operator is counted, and under which heading."""

    #: "formula", "pointwise", "moves", "free" or "foreign".
    kind: str
    cost: Callable[[OpRecord], Cost | None]


def rule_for(operator: str) -> Rule | None:
    """Find the rule of an operator, named ``library.name.overload``; None where there is none."""
    _load()
    own = _formula_of(operator)
    if own is not None:
        return Rule("formula", own)
    if free.is_free(operator):
        return Rule("free", free.free_cost)
    if free.is_data_movement(operator):
        return Rule("moves", free.data_movement_cost)
    if pointwise.is_pointwise(operator):
        return Rule("pointwise", pointwise.cost)
    return Rule("foreign", torch_registry.cost) if torch_registry.has_formula(operator) else None


def _formula_of(operator: str) -> registry.Formula | None:
    """Look up the overload, its packet, and the functional form of an in-place operator."""
    packet = operator.rpartition(".")[0] if operator.count(".") > 1 else operator
    functional = packet.removesuffix("_")
    candidates = (operator, packet, functional)
    return next((found for name in candidates if (found := registry.find(name)) is not None), None)


@cache
def _load() -> None:
    """Import torchvision's operators where they are installed, and every family's file."""
    import_all(package)


def tags(operator: str) -> frozenset[torch.Tag]:
    """Give the tags that torch puts on an operator."""
    found = registry.overloads(operator)
    return frozenset(tag for overload in found for tag in overload.tags)
