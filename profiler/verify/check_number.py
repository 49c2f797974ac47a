"""Check a printed number: against what is measured, or against the document's own expression."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.documents import FigureResult
from profiler.expressions import base_magnitude, check_dimension, dimension, parse_unit, to_fraction
from profiler.values.findings import Cause, CauseKind, Contribution, Finding
from profiler.verify.causes import apply_causes, number
from profiler.verify.context import Context
from profiler.verify.formatting import format_quantity
from profiler.verify.printed_number import Printed, read_printed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sympy

    from profiler.documents import PrintedFigure
    from profiler.values.findings import Claim
    from profiler.verify.measurements import Measurements


def check_number(figure: PrintedFigure, claim: Claim, bench: Measurements) -> FigureResult:
    """Hold one number against another.

    Raises:
        ProfilerError: A name, a unit or a formula is wrong, or what is measured failed.
    """
    context = Context(figure, bench)
    text = figure.expression if figure.kind == "arithmetic" else figure.measured
    ours = in_unit(figure, context.at(context.parse(text or ""), {}))
    printed = _printed(figure, context)
    steps = apply_causes(figure, ours, lambda text, now: context.at(context.parse(text, "now"), {}, now=now))
    left = to_fraction(steps.rest)
    claimed = printed.nearest(left)
    causes = [
        Cause(reason.kind, CauseKind(reason.kind), reason.why, _share(to_fraction(amount)))
        for reason, amount in steps.steps
        if amount
    ]
    causes += _left(figure, left - claimed, printed.digit)
    finding = Finding(replace(claim, claimed=claimed), base_magnitude(ours, figure.unit), tuple(causes))
    values = {name: format_quantity(context.value(name, {})) for name in (*context.known, *figure.measures)}
    return FigureResult(figure, finding, values, sources=context.sources)


def in_unit(figure: PrintedFigure, quantity: sympy.Expr) -> sympy.Expr:
    """Take a plain number to be in the base unit of the claim: FLOP where its figure is in GFLOP.

    Raises:
        ExpressionError: It is a quantity of another kind.
    """
    unit = parse_unit(figure.unit)
    if dimension(quantity) == 1:
        return quantity * dimension(unit)
    check_dimension(quantity, figure.unit)
    return quantity


def _printed(figure: PrintedFigure, context: Context) -> Printed:
    """Read what is printed, or evaluate the expression that stands for it."""
    if figure.printed is not None:
        return read_printed(figure.printed, to_fraction(number(parse_unit(figure.unit))))
    quantity = context.at(context.parse(figure.expression or ""), {})
    value = base_magnitude(in_unit(figure, quantity), figure.unit)
    return Printed(value, value, Fraction(0))


def _left(figure: PrintedFigure, rest: Fraction, digit: Fraction) -> Iterator[Cause]:
    """Name what the causes leave, if it is a matter of digits or of reckoning."""
    if rest and 2 * abs(rest) <= digit:
        yield Cause("rounding", CauseKind.ROUNDING, "rounded to the printed digits", _share(rest))
    elif 0 < rest < digit:
        yield Cause("rounding", CauseKind.ROUNDING, "cut off at the last printed digit", _share(rest))
    elif rest and figure.kind == "arithmetic":
        yield Cause("slip", CauseKind.SLIP, "the expression does not give what is printed", _share(rest))


def _share(amount: Fraction) -> tuple[Contribution]:
    return (Contribution("", "", amount),)
