"""Check a printed number: compare it with a measured value, or with the document's own expression."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.documents import FigureResult
from profiler.expressions import base_magnitude, check_dimension, dimension, parse_unit, to_fraction
from profiler.values.findings import Cause, CauseKind, Contribution, Finding
from profiler.verify.causes import apply_causes, magnitude
from profiler.verify.context import Context
from profiler.verify.printed_number import PrintedNumber, parse_printed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sympy

    from profiler.documents import PrintedFigure
    from profiler.values.findings import Claim
    from profiler.verify.measurements import Measurements


def check_number(figure: PrintedFigure, claim: Claim, measurements: Measurements) -> FigureResult:
    """Compare a printed number with what is measured, or arithmetic with its own expression.

    Raises:
        ProfilerError: A name, a unit or a formula is not valid, or a measurement failed.
    """
    context = Context(figure, measurements)
    formula = figure.expression if figure.kind == "arithmetic" else figure.measured
    ours = in_unit(figure, context.evaluate(context.parse(formula or ""), {}))
    printed = _printed(figure, context)
    steps = apply_causes(figure, ours, lambda text, now: context.evaluate(context.parse(text, "now"), {}, now=now))
    rest = to_fraction(steps.rest)
    claimed = printed.nearest(rest)
    causes = [
        Cause(cause.kind, CauseKind(cause.kind), cause.why, _contributions(to_fraction(amount)))
        for cause, amount in steps.steps
        if amount
    ]
    causes += _rounding_or_slip(figure, rest - claimed, printed.digit)
    finding = Finding(replace(claim, claimed=claimed), base_magnitude(ours, figure.unit), tuple(causes))
    return FigureResult(figure, finding, context.values({}), sources=context.sources)


def in_unit(figure: PrintedFigure, quantity: sympy.Expr) -> sympy.Expr:
    """Return a quantity in the unit of a figure; a plain number is taken to be in base units (FLOP for GFLOP).

    Raises:
        ExpressionError: The quantity has a unit of another dimension.
    """
    if dimension(quantity) == 1:
        return quantity * dimension(parse_unit(figure.unit))
    check_dimension(quantity, figure.unit)
    return quantity


def _printed(figure: PrintedFigure, context: Context) -> PrintedNumber:
    """Parse the printed number, or evaluate the expression in its place."""
    if figure.printed is not None:
        return parse_printed(figure.printed, to_fraction(magnitude(parse_unit(figure.unit))))
    quantity = context.evaluate(context.parse(figure.expression or ""), {})
    value = base_magnitude(in_unit(figure, quantity), figure.unit)
    return PrintedNumber(value, value, Fraction(0))


def _rounding_or_slip(figure: PrintedFigure, rest: Fraction, digit: Fraction) -> Iterator[Cause]:
    """Yield the cause of *rest*, the difference after all stated causes, if it is rounding or wrong arithmetic."""
    if rest and 2 * abs(rest) <= digit:
        yield Cause("rounding", CauseKind.ROUNDING, "rounded to the printed digits", _contributions(rest))
    elif 0 < rest < digit:
        yield Cause("rounding", CauseKind.ROUNDING, "truncated after the last printed digit", _contributions(rest))
    elif rest and figure.kind == "arithmetic":
        yield Cause("slip", CauseKind.SLIP, "the expression does not give the printed result", _contributions(rest))


def _contributions(amount: Fraction) -> tuple[Contribution]:
    return (Contribution("", "", amount),)
