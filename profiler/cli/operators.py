"""``profiler operators [NAME]``: the catalogue of formulas, and the operators that no rule counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit
from profiler.cli.subjects import CATALOGUES, OUTPUT, examples
from profiler.errors import UnknownNameError
from profiler.report.operator_catalogue import OPERATOR_FORMATS, OperatorList

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*OPERATOR_FORMATS.names()]


@app.command(
    group=CATALOGUES,
    help_epilogue=examples(
        "profiler operators conv",
        "profiler operators --uncounted --format json",
    ),
)
def operators(
    name: str | None = None,
    /,
    *,
    uncounted: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
) -> None:
    """List how operators are counted.

    An operator is counted by a formula, as data movement, as free, or not at all.

    Args:
        name: Show the operators whose names contain this, such as `conv` or `aten.bmm`.
        uncounted: Show only operators that no rule counts.
        format: Output format.
        output: File to write the result to, instead of printing it.
    """
    emit(OPERATOR_FORMATS.render(_select(name, uncounted=uncounted), format), output)


def _select(name: str | None, *, uncounted: bool) -> OperatorList:
    """Return the operators that match *name*; one that matches exactly comes alone.

    Raises:
        UnknownNameError: No operator matches.
    """
    from profiler.formulas.cached_catalogue import operator_catalogue

    counted, missing = operator_catalogue()
    rules = () if uncounted else counted
    if name is None:
        return OperatorList(rules, missing, is_whole=not uncounted)
    wanted = name.replace("::", ".").lower()
    exact = tuple(rule for rule in rules if rule.operator.lower() == wanted)
    if exact:
        return OperatorList(exact, (), is_whole=False)
    matches = tuple(rule for rule in rules if wanted in rule.operator.lower())
    without = tuple(operator for operator in missing if wanted in operator.lower())
    if not matches and not without:
        kind = "operator"
        raise UnknownNameError(kind, name, [*(rule.operator for rule in rules), *missing])
    return OperatorList(matches, without, is_whole=False)
