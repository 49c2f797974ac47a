"""The names in the formulas of a figure (variables and measures), and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from profiler.derive import Variable
from profiler.errors import ClaimError
from profiler.expressions import parse, parse_quantity, substitute
from profiler.targets.vary import parse_sizes
from profiler.verify.device_figures import source
from profiler.verify.formatting import format_quantity
from profiler.verify.measurements import is_count

if TYPE_CHECKING:
    from profiler.derive import Point
    from profiler.documents import PrintedFigure
    from profiler.verify.measurements import MeasureForm, Measurements


class Context:
    """Evaluates formulas in the variables and measures of a figure."""

    def __init__(self, figure: PrintedFigure, measurements: Measurements) -> None:
        """Parse the variables. Measures are measured when a formula needs them.

        Raises:
            ProfilerError: A variable cannot be parsed.
        """
        self.figure, self._measurements = figure, measurements
        self.ranges = tuple(_variable(name, text) for name, text in figure.variables.items() if _is_range(text))
        self._constants = {k: parse_quantity(str(v)) for k, v in figure.variables.items() if not _is_range(v)}
        self._names = {*figure.variables, *figure.measures}

    def parse(self, text: str, *more: str) -> sympy.Expr:
        """Parse a formula in the names of the figure and *more*.

        Raises:
            ExpressionError: It is not a formula, or uses another name.
        """
        return parse(text, {*self._names, *more})

    def evaluate(self, formula: sympy.Expr, point: Point, **more: sympy.Expr) -> sympy.Expr:
        """Evaluate a formula at one setting of the ranges; *more* are values of further names."""
        fixed = more | {name: sympy.Integer(size) for name, size in point.items()}
        names = _free_names(formula)
        return substitute(formula, {name: fixed[name] if name in fixed else self._value(name, point) for name in names})

    def closed_form(self, formula: sympy.Expr, **more: sympy.Expr) -> sympy.Expr:
        """Return a formula in the ranges alone, with the closed forms of its measures substituted."""
        varied = {variable.name for variable in self.ranges}
        names = [name for name in _free_names(formula) if name not in varied]
        return substitute(formula, {name: more[name] if name in more else self._closed_form(name) for name in names})

    def derive(self, name: str) -> MeasureForm:
        """Derive the closed form of a measure in the ranges."""
        return self._measurements.closed_form(self.figure.measures[name], self.ranges)

    def values(self, point: Point) -> dict[str, str]:
        """Return the constants and the measures at one setting, as text by name."""
        names = (*self._constants, *self.figure.measures)
        return {name: format_quantity(self._value(name, point)) for name in names}

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the devices' figures, with their confidence."""
        measures = [measure for measure in self.figure.measures.values() if measure.device is not None]
        return tuple(dict.fromkeys(source(measure) for measure in measures))

    def _value(self, name: str, point: Point) -> sympy.Expr:
        if name in self._constants:
            return self._constants[name]
        if name not in self.figure.measures:
            msg = f"the variable {name!r} has no value; write it into `variables`"
            raise ClaimError(msg)
        return self._measurements.value(self.figure.measures[name], point)

    def _closed_form(self, name: str) -> sympy.Expr:
        measure = self.figure.measures.get(name)
        return self.derive(name).whole if measure is not None and is_count(measure) else self._value(name, {})


def _free_names(formula: sympy.Expr) -> list[str]:
    return sorted(symbol.name for symbol in formula.free_symbols)


def _is_range(text: object) -> bool:
    return isinstance(text, str) and ".." in text


def _variable(name: str, text: object) -> Variable:
    sizes = parse_sizes(name, str(text))
    return Variable(name, sizes, sizes[-1], name)
