"""The names that the formulas of a claim may use, with what stands behind each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from profiler.derive import Variable
from profiler.errors import ClaimError
from profiler.expressions import parse, parse_quantity, substitute
from profiler.targets.vary import parse_sizes
from profiler.verify.device_figures import source
from profiler.verify.measurements import is_count

if TYPE_CHECKING:
    from profiler.derive import Point
    from profiler.documents import PrintedFigure
    from profiler.verify.measurements import Form, Measurements


class Context:
    """The variables and measures of a figure."""

    def __init__(self, figure: PrintedFigure, bench: Measurements) -> None:
        """Read the variables; nothing is measured yet.

        Raises:
            ProfilerError: A variable cannot be read.
        """
        self.figure, self.bench = figure, bench
        self.ranges = tuple(_variable(name, text) for name, text in figure.variables.items() if _is_range(text))
        self.known = {k: parse_quantity(str(v)) for k, v in figure.variables.items() if not _is_range(v)}
        self._names = {*figure.variables, *figure.measures}

    def parse(self, text: str, *more: str) -> sympy.Expr:
        """Read a formula in these names.

        Raises:
            ExpressionError: It is none, or has another name.
        """
        return parse(text, {*self._names, *more})

    def at(self, formula: sympy.Expr, point: Point, **more: sympy.Expr) -> sympy.Expr:
        """Evaluate a formula at one setting, measuring what it names."""
        given = more | {name: sympy.Integer(size) for name, size in point.items()}
        names = _named(formula)
        return substitute(formula, {name: given[name] if name in given else self.value(name, point) for name in names})

    def form(self, formula: sympy.Expr, **more: sympy.Expr) -> sympy.Expr:
        """Write a formula in the varied sizes alone, with the closed forms of what it measures."""
        varied = {variable.name for variable in self.ranges}
        names = [name for name in _named(formula) if name not in varied]
        return substitute(formula, {name: more[name] if name in more else self._form(name) for name in names})

    def value(self, name: str, point: Point) -> sympy.Expr:
        """Give a variable, or measure."""
        if name in self.known:
            return self.known[name]
        if name not in self.figure.measures:
            msg = f"the variable {name!r} has no value; write it into `variables`"
            raise ClaimError(msg)
        return self.bench.value(self.figure.measures[name], point)

    @property
    def sources(self) -> tuple[str, ...]:
        """Say where the figures of devices come from, and how far they can be trusted."""
        of_devices = [m for m in self.figure.measures.values() if m.device is not None]
        return tuple(dict.fromkeys(source(measure) for measure in of_devices))

    def derived(self, name: str) -> Form:
        """Derive a measure."""
        return self.bench.form(self.figure.measures[name], self.ranges)

    def _form(self, name: str) -> sympy.Expr:
        measure = self.figure.measures.get(name)
        return self.derived(name).whole if measure is not None and is_count(measure) else self.value(name, {})


def _named(formula: sympy.Expr) -> list[str]:
    return sorted(symbol.name for symbol in formula.free_symbols)


def _is_range(text: object) -> bool:
    return isinstance(text, str) and ".." in text


def _variable(name: str, text: object) -> Variable:
    sizes = parse_sizes(name, str(text))
    return Variable(name, sizes, sizes[-1], name)
