"""Find the rule that counts an operator.

The rules are tried in this order: a formula registered for the operator, for its overload packet, or for its functional
form; the list of free operators; the list of operators that only move data, in memory or between ranks; the class of
pointwise operators; a formula registered with ``torch.utils.flop_counter``. An operator without a rule is uncounted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import profiler.formulas.families as package
from profiler.formulas import collectives, registry, torch_registry
from profiler.formulas.rule_kind import RuleKind
from profiler.util.autoload import import_all
from profiler.util.lazy_imports import LazyModule

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.formulas import free, pointwise
    from profiler.values.records import Cost, OpRecord
else:
    # their formulas are checked against torch's schemas
    free, pointwise = LazyModule("profiler.formulas.free"), LazyModule("profiler.formulas.pointwise")


@dataclass(frozen=True, slots=True)
class Rule:
    """How an operator is counted."""

    kind: RuleKind
    #: Computes the cost of one call, or None where its arguments do not determine it.
    cost: Callable[[OpRecord], Cost | None]


def rule_for(operator: str) -> Rule | None:
    """Return the rule that counts *operator*, named ``library.name.overload``, or None if it is uncounted.

    Example:
        >>> rule_for("aten.bmm.default").kind
        <RuleKind.FORMULA: 'formula'>
        >>> rule_for("aten.exp_.default").kind
        <RuleKind.POINTWISE: 'pointwise'>
        >>> rule_for("aten.linalg_eig.default") is None
        True
    """
    load_formulas()
    registered = _registered_formula(operator)
    if registered is not None:
        return Rule(RuleKind.FORMULA, registered)
    return _listed_rule(operator) or (
        Rule(RuleKind.TORCH_REGISTRY, torch_registry.cost) if torch_registry.has_formula(operator) else None
    )


@cache
def load_formulas() -> None:
    """Import every file of formulas, and torchvision's operators if they are installed."""
    import_all(package)
    import_module("profiler.formulas.free")  # the two hold formulas too
    import_module("profiler.formulas.pointwise")


@cache
def _listed_rule(operator: str) -> Rule | None:
    """Return the rule of an operator that has no formula, but is in one of our lists. Nothing is added to these."""
    if free.is_free(operator) or _packet(operator) in collectives.WAITING:
        return Rule(RuleKind.FREE, free.free_cost)
    if _packet(operator) in collectives.MOVING:
        return Rule(RuleKind.DATA_MOVEMENT, collectives.collective_cost)
    if free.is_data_movement(operator):
        return Rule(RuleKind.DATA_MOVEMENT, free.data_movement_cost)
    if pointwise.is_pointwise(operator):
        return Rule(RuleKind.POINTWISE, pointwise.cost)
    return None


def _registered_formula(operator: str) -> registry.Formula | None:
    """Look up the overload, its packet, and the functional form of an in-place operator."""
    for name in _names(operator):
        entry = registry.find(name)
        if entry is not None:
            return entry
    return None


@cache
def _names(operator: str) -> tuple[str, str, str]:
    """Return the names under which the formula of an operator may be registered, in the order in which they count."""
    packet = _packet(operator)
    return operator, packet, packet.removesuffix("_")


def _packet(operator: str) -> str:
    return operator.rpartition(".")[0] if operator.count(".") > 1 else operator
