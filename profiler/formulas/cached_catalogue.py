"""The catalogue of operators, without importing torch if it was listed before.

A list of operators is the same in every process that loads no library of operators of its own. So it is cached for the
installed code, and the cache is used as long as torch has not been imported.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from profiler.formulas.operator_rule import OperatorRule
from profiler.formulas.rule_kind import RuleKind
from profiler.util.user_cache import installed_code, read_cached, write_cached

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "operators"
#: The rules of all counted operators, and the operators without a rule.
Catalogue = tuple[tuple[OperatorRule, ...], tuple[str, ...]]


def operator_catalogue() -> Catalogue:
    """Return the rules of all counted operators and the operators that no rule counts, each sorted by name."""
    if "torch" in sys.modules:
        return _listed()
    with suppress(AttributeError, KeyError, TypeError, ValueError):  # none is cached, or the file was damaged
        return _from_row(read_cached(_NAME, installed_code()))
    catalogue = _listed()
    write_cached(_NAME, installed_code(), _to_row(catalogue))
    return catalogue


def _listed() -> Catalogue:
    from profiler.formulas.catalogue import operator_rules, uncounted_operators  # noqa: PLC0415 - imports torch

    return tuple(operator_rules()), tuple(uncounted_operators())


def _to_row(catalogue: Catalogue) -> dict[str, Any]:
    rules, uncounted = catalogue
    return {"rules": [asdict(rule) for rule in rules], "uncounted": uncounted}


def _from_row(row: Mapping[str, Any]) -> Catalogue:
    rules = (OperatorRule(**rule | {"kind": RuleKind(rule["kind"])}) for rule in row["rules"])
    return tuple(rules), tuple(row["uncounted"])
