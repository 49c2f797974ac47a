"""List the operators of the installed torch: by which rule each is counted, and which have none."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import profiler
from profiler.formulas import registry
from profiler.formulas.lookup import Rule, RuleKind, load_formulas, rule_for

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = Path(profiler.__file__).parents[1]
#: The libraries of torch and torchvision; those of other packages are listed where a rule counts them.
_LIBRARIES = ("aten", "prims", "quantized", "torchvision")


@dataclass(frozen=True, slots=True)
class OperatorRule:
    """An operator, and the function that computes its cost."""

    #: ``library.name``, for all overloads.
    operator: str
    kind: RuleKind
    #: Relative to the folder of the package (``profiler/formulas/families/matmul.py``); absolute outside of it.
    file: str
    #: The line of the function's definition.
    line: int
    #: The first line of the function's docstring.
    summary: str


def operator_rules() -> list[OperatorRule]:
    """Return the rules of the counted operators, sorted by operator.

    An operator is listed with the rule of the first overload that has one.

    Example:
        >>> rules = {rule.operator: rule for rule in operator_rules()}
        >>> rules["aten.bmm"].kind, rules["aten.bmm"].file
        (<RuleKind.FORMULA: 'formula'>, 'profiler/formulas/families/matmul.py')
    """
    found = {name: _rule(overloads) for name, overloads in _operators().items()}
    return [_describe(name, rule) for name, rule in sorted(found.items()) if rule is not None]


def uncounted_operators() -> list[str]:
    """Return the operators of torch and torchvision that no rule counts, sorted.

    Composite operators are left out: they are decomposed, and the operators inside them are counted.
    """
    missing = (name for name, overloads in _operators().items() if _rule(overloads) is None)
    return sorted(name for name in missing if name.startswith(_LIBRARIES) and not _is_composite(name))


@cache
def _operators() -> dict[str, list[str]]:
    """Map every operator that the dispatcher knows to its overloads, the default one first."""
    load_formulas()
    operators: dict[str, list[str]] = {name: [] for name in registry.registered() if name.count(".") == 1}
    for qualified in torch._C._dispatch_get_all_op_names():
        packet, _, overload = qualified.replace("::", ".", 1).partition(".")[2].partition(".")
        name = f"{qualified.partition('::')[0]}.{packet}"
        operators.setdefault(name, []).append(f"{name}.{overload or 'default'}")
    return {name: sorted(overloads, key=lambda o: not o.endswith(".default")) for name, overloads in operators.items()}


def _rule(overloads: list[str]) -> Rule | None:
    return next((rule for overload in overloads if (rule := rule_for(overload)) is not None), None)


def _is_composite(name: str) -> bool:
    return all(_decomposes(overload.name()) for overload in registry.overloads(name))


def _decomposes(operator: str) -> bool:
    """Return whether the dispatcher decomposes an operator; operators of TorchScript alone never reach it."""
    if not torch._C._dispatch_has_kernel(operator):
        return True
    return torch._C._dispatch_has_kernel_for_dispatch_key(operator, "CompositeImplicitAutograd")


def _describe(name: str, rule: Rule) -> OperatorRule:
    function = rule.cost.function if isinstance(rule.cost, registry.Formula) else rule.cost
    file, line, summary = _source(function)
    return OperatorRule(name, rule.kind, file, line, summary)


@cache
def _source(function: Callable[..., object]) -> tuple[str, int, str]:
    """Return the file, the line of the definition and the first line of the docstring of a function."""
    path = Path(inspect.getsourcefile(function) or "")
    lines, first = inspect.getsourcelines(function)
    line = first + next((i for i, text in enumerate(lines) if text.lstrip().startswith("def ")), 0)
    file = path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else str(path)
    return file, line, (inspect.getdoc(function) or "").partition("\n")[0]
