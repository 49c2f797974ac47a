"""An entry of the catalogue of operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.formulas.rule_kind import RuleKind


@dataclass(frozen=True, slots=True)
class OperatorRule:
    """An operator, and the function that computes its cost."""

    #: ``library.name``, or ``library.name.overload`` if the overloads have different rules.
    operator: str
    kind: RuleKind
    #: Relative to the folder that contains the package, such as ``profiler/formulas/families/matmul.py``; absolute
    #: for other files; empty for a callable that is not a Python function.
    file: str
    #: Line of the function's ``def``.
    line: int
    #: First line of the function's docstring.
    summary: str
