"""The catalogue of operators as text and as JSON: which rule counts each, and where the rule is."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.formulas.rule_kind import RuleKind
from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import WIDTH, table

if TYPE_CHECKING:
    from profiler.formulas.operator_rule import OperatorRule
    from profiler.report.tables import Side

#: What each kind of rule means.
MEANINGS = {
    RuleKind.FORMULA: "a formula of its own counts it",
    RuleKind.POINTWISE: "a fixed number of operations per element",
    RuleKind.DATA_MOVEMENT: "copies data: bytes, no arithmetic",
    RuleKind.FREE: "a view, an allocation or a metadata query: costs nothing",
    RuleKind.TORCH_REGISTRY: "a formula registered with torch.utils.flop_counter counts it",
}
_NAMES = {
    RuleKind.DATA_MOVEMENT: "data movement",
    RuleKind.TORCH_REGISTRY: "torch registry",
}
_UNCOUNTED = "uncounted"
#: Names of operators are copied from here, so they are not cut to fit a line.
_WIDE = 200
_WHY = "no rule applies: a profile in which it runs lists it, and prints its totals as lower bounds (≥)"


@dataclass(frozen=True, slots=True)
class OperatorList:
    """Operators with a rule, and operators without one."""

    rules: tuple[OperatorRule, ...]
    uncounted: tuple[str, ...]
    #: Whether these are all operators; if not, each is shown.
    is_whole: bool


OPERATOR_FORMATS: Formats[OperatorList] = Formats()
_COLUMNS: dict[str, Side] = {"operator": "left", "rule": "left", "where": "left"}


@OPERATOR_FORMATS.register("text")
def to_text(operators: OperatorList) -> str:
    """Return a summary by kind of rule, a table of several operators, or everything about a single one."""
    if operators.is_whole:
        return _summary(operators)
    if len(operators.rules) == 1 and not operators.uncounted:
        return _sheet(operators.rules[0])
    note = f"\n\n{textwrap.fill(f'{_UNCOUNTED}: {_WHY}', WIDTH)}" if operators.uncounted else ""
    return table(_COLUMNS, _rows(operators), _WIDE) + note + "\n"


@OPERATOR_FORMATS.register("markdown")
def to_markdown(operators: OperatorList) -> str:
    """Write a row an operator."""
    return page(markdown_table(_COLUMNS, _rows(operators)))


@OPERATOR_FORMATS.register("csv")
def to_csv(operators: OperatorList) -> str:
    """Write a line an operator."""
    return csv_table(_COLUMNS, _rows(operators))


@OPERATOR_FORMATS.register("json")
def to_json(operators: OperatorList) -> str:
    """Return every operator with its rule as JSON."""
    rows = [
        {"operator": r.operator, "rule": kind_name(r.kind), "file": r.file, "line": r.line, "summary": r.summary}
        for r in operators.rules
    ]
    rows += [{"operator": name, "rule": _UNCOUNTED, "why": _WHY} for name in operators.uncounted]
    return json.dumps({"operators": rows}, indent=1, ensure_ascii=False) + "\n"


def _rows(operators: OperatorList) -> list[tuple[str, str, str]]:
    rows = [(r.operator, kind_name(r.kind), f"{r.file}:{r.line}") for r in operators.rules]
    return rows + [(name, _UNCOUNTED, "") for name in operators.uncounted]


def kind_name(kind: RuleKind) -> str:
    """Return the name of a kind of rule in plain words.

    Example:
        >>> kind_name(RuleKind.DATA_MOVEMENT), kind_name(RuleKind.FREE)
        ('data movement', 'free')
    """
    return _NAMES.get(kind, kind.value)


def _summary(operators: OperatorList) -> str:
    counts = Counter(rule.kind for rule in operators.rules)
    columns: dict[str, Side] = {"rule": "left", "operators": "right", "meaning": "left"}
    rows = [(kind_name(kind), str(counts[kind]), MEANINGS[kind]) for kind in RuleKind if counts[kind]]
    rows.append((_UNCOUNTED, str(len(operators.uncounted)), "no rule applies"))
    hint = "`profiler operators NAME` shows the operators whose names contain NAME, and where their rules are."
    return f"{table(columns, rows)}\n\n{textwrap.fill(hint, WIDTH)}\n"


def _sheet(rule: OperatorRule) -> str:
    lines = [
        f"{rule.operator} · {kind_name(rule.kind)}: {MEANINGS[rule.kind]}",
        f"  {rule.file}:{rule.line}",
        textwrap.fill(rule.summary, WIDTH, initial_indent="  ", subsequent_indent="  "),
    ]
    return "\n".join(lines) + "\n"
