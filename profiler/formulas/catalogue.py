"""List the operators that have a rule, with the function that costs them, and those that have none.

An entry names an overload packet, such as ``aten.bmm``. If the overloads of a packet have different rules, each
overload has its own entry, such as ``aten.max.dim``.
"""

from __future__ import annotations

import inspect
import linecache
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.formulas import collectives, registry
from profiler.formulas.lookup import Rule, load_formulas, rule_for
from profiler.formulas.operator_rule import OperatorRule
from profiler.util.lazy_imports import LazyModule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch
    from torch._ops import OpOverload

    from profiler.formulas import free, pointwise
else:
    torch = LazyModule("torch")
    free, pointwise = LazyModule("profiler.formulas.free"), LazyModule("profiler.formulas.pointwise")

_PACKAGE = Path(__file__).parents[1]


def operator_rules() -> list[OperatorRule]:
    """Return the rules of all counted operators, sorted by operator.

    The list covers every operator that the dispatcher knows, of all libraries, and the operators of other versions of
    torch that a formula or a list names. An in-place operator has an entry beside its functional form.

    Example:
        >>> rules = {rule.operator: rule for rule in operator_rules()}
        >>> rules["aten.bmm"].kind, rules["aten.bmm"].file
        (<RuleKind.FORMULA: 'formula'>, 'profiler/formulas/families/matmul.py')
    """
    load_formulas()
    packets = _dispatched()
    packets |= {name: [name] for name in _listed() if not {_packet(name), f"{_packet(name)}_"} & packets.keys()}
    names = ((name, rule_for(operator)) for name, operator in _entries(packets, _function_of))
    return sorted((_describe(name, rule) for name, rule in names if rule is not None), key=lambda r: r.operator)


def uncounted_operators() -> list[str]:
    """Return the ``aten`` operators of the installed torch that have no rule, sorted.

    A call of one of these appears in a profile as uncounted. Views and composite operators are left out: a view costs
    nothing and is not recorded, and a composite operator is counted by the operators that it calls.

    Example:
        >>> "aten.linalg_eig" in uncounted_operators()
        True
    """
    packets = {packet: names for packet, names in _dispatched().items() if packet.startswith("aten.")}
    return sorted(name for name, operator in _entries(packets, _is_uncounted) if _is_uncounted(operator))


def _dispatched() -> dict[str, list[str]]:
    """Return the overloads that the dispatcher knows, named ``library.name.overload``, by overload packet."""
    packets = defaultdict(list)
    for qualified_name in torch._C._dispatch_get_all_op_names():
        library, _, rest = qualified_name.partition("::")
        name, _, overload = rest.partition(".")
        packets[f"{library}.{name}"].append(f"{library}.{name}.{overload or 'default'}")
    return dict(packets)


def _listed() -> set[str]:
    """Return the operators that have a formula or are on a list, whether or not the installed torch has them."""
    aten = (f"aten.{name}" for name in free.FREE | free.DATA_MOVEMENT | pointwise.LISTED)
    return {*registry.registered(), *aten, *collectives.MOVING, *collectives.WAITING}


def _packet(operator: str) -> str:
    return ".".join(operator.split(".")[:2])


def _entries(packets: Mapping[str, list[str]], label: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    """Yield the name of each entry and one operator that it stands for: a packet if its overloads share a *label*."""
    for packet, operators in packets.items():
        if len({label(operator) for operator in operators}) == 1:
            yield packet, operators[0]
        else:
            yield from ((operator, operator) for operator in operators)


def _function(rule: Rule) -> Callable[..., object]:
    cost = rule.cost
    function: Callable[..., object] = inspect.unwrap(cost.function if isinstance(cost, registry.Formula) else cost)
    return function


def _function_of(operator: str) -> object:
    """Return what distinguishes the rules of two overloads: the code of the function, or None without a rule."""
    rule = rule_for(operator)
    return getattr(_function(rule), "__code__", rule.cost) if rule is not None else None


def _describe(name: str, rule: Rule) -> OperatorRule:
    function = _function(rule)
    file, line = _location(function)
    return OperatorRule(name, rule.kind, file, line, (inspect.getdoc(function) or "").partition("\n")[0])


def _location(function: Callable[..., object]) -> tuple[str, int]:
    """Return the file and the line of a function's ``def``; its code object starts at the decorator."""
    code = getattr(function, "__code__", None)
    if code is None:
        return "", 0
    path, first = Path(code.co_filename), code.co_firstlineno
    lines = enumerate(linecache.getlines(code.co_filename)[first - 1 :], first)
    line = next((n for n, text in lines if text.lstrip().startswith(f"def {code.co_name}")), first)
    return path.relative_to(_PACKAGE.parent).as_posix() if path.is_relative_to(_PACKAGE) else str(path), line


def _is_uncounted(operator: str) -> bool:
    """Return whether the trace records *operator* and no rule counts it."""
    return rule_for(operator) is None and any(
        not _is_composite(overload) and not _is_view(overload) for overload in registry.overloads(operator)
    )


def _is_composite(overload: OpOverload) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CompositeImplicitAutograd")


def _is_view(overload: OpOverload) -> bool:
    aliases = [result.alias_info for result in overload._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)
