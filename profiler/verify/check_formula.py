"""Check a formula: at a grid of settings, and term by term against the closed form of a live model."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import sympy

from profiler.derive.variables import format_point
from profiler.documents import FigureResult
from profiler.expressions import base_magnitude, substitute, to_fraction
from profiler.values.findings import Cause, CauseKind, Contribution, Finding
from profiler.verify.causes import apply_causes, magnitude
from profiler.verify.check_number import in_unit
from profiler.verify.context import Context
from profiler.verify.formatting import format_expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from profiler.derive import Point
    from profiler.documents import PrintedFigure
    from profiler.values.findings import Claim
    from profiler.verify.causes import CauseSteps
    from profiler.verify.measurements import Measurements

#: The least number of settings at which a formula is compared, if its ranges have that many.
SETTINGS = 20
_ORIGINS_SHOWN = 3


def check_formula(figure: PrintedFigure, claim: Claim, measurements: Measurements) -> FigureResult:
    """Compare a formula with the cost of a live model.

    The finding is for the setting with the largest relative difference. Its causes are the stated ones, then one for
    each term in which the formula differs from the closed form.

    Raises:
        ProfilerError: A name, a unit or a formula is not valid, the model failed, or its cost has no closed form.
    """
    context = Context(figure, measurements)
    formula = magnitude(in_unit(figure, context.closed_form(context.parse(figure.expression or ""))))
    ours = in_unit(figure, context.closed_form(context.parse(figure.measured)))
    steps = apply_causes(figure, ours, lambda text, now: context.closed_form(context.parse(text, "now"), now=now))
    grid = {_hashable(p): (_value_at(formula, p), _measure_at(figure, context, p)) for p in _settings(context)}
    worst = max(grid, key=lambda key: (_relative_difference(*grid[key]), key))
    point = dict(worst)
    claimed, measured = grid[worst]
    causes = (*_stated_causes(steps, point), *_term_causes(steps.rest, formula, context, point))
    ratios = [float(theirs / own) for theirs, own in grid.values() if own]
    return FigureResult(
        figure,
        Finding(replace(claim, claimed=claimed), measured, causes),
        context.values(point),
        settings=len(grid),
        ratios=(min(ratios), max(ratios)) if ratios else None,
        at=format_point(point),
        form=format_expression(magnitude(ours)),
    )


def _relative_difference(claimed: Fraction, measured: Fraction) -> Fraction:
    return abs(claimed - measured) / (abs(measured) or 1)


def _measure_at(figure: PrintedFigure, context: Context, point: Point) -> Fraction:
    """Measure at one setting, without using the closed form."""
    return base_magnitude(in_unit(figure, context.evaluate(context.parse(figure.measured), point)), figure.unit)


def _settings(context: Context) -> Iterable[Point]:
    """Return the settings that were measured to derive and verify the closed form, and random ones up to the minimum.

    If the ranges have no more settings than the minimum, all of them.
    """
    variables = context.ranges
    measured = [name for name in context.figure.measures if name in _measured_names(context)]
    points = {_hashable(point): point for name in measured for point in context.derive(name).points}
    if prod(len(variable.sizes) for variable in variables) <= SETTINGS:
        names = [variable.name for variable in variables]
        return [dict(zip(names, sizes, strict=True)) for sizes in product(*(v.sizes for v in variables))]
    draw = random.Random(0)  # noqa: S311 - no secret: the same settings every time
    while len(points) < SETTINGS:
        point = {variable.name: draw.choice(variable.sizes) for variable in variables}
        points[_hashable(point)] = point
    return points.values()


def _measured_names(context: Context) -> set[str]:
    return {symbol.name for symbol in context.parse(context.figure.measured).free_symbols}


def _stated_causes(steps: CauseSteps, point: Point) -> Iterator[Cause]:
    """Yield the causes that the claim states, with their amounts at one setting."""
    for cause, amount in steps.steps:
        if amount:
            contribution = Contribution("", format_expression(amount), _value_at(amount, point))
            yield Cause(cause.kind, CauseKind(cause.kind), cause.why, (contribution,))


def _term_causes(rest: sympy.Expr, formula: sympy.Expr, context: Context, point: Point) -> Iterator[Cause]:
    """Yield a cause for each term in which the formula differs from *rest*, the closed form after the stated causes."""
    measured, claimed = _coefficients(rest), _coefficients(formula)
    for term, coefficient in _coefficients(rest - formula).items():
        amount = coefficient * term
        contribution = Contribution("", format_expression(amount), _value_at(amount, point))
        ours, theirs = (format_expression(side.get(term, sympy.Integer(0))) for side in (measured, claimed))
        detail = f"coefficient {theirs} claimed, {ours} measured"
        if coefficient > 0:
            why = f"lacks {format_expression(amount)} ({detail if term in claimed else _origins(term, context)})"
            yield Cause("missing-term", CauseKind.MISSING, why, (contribution,))
        else:
            why = f"adds {format_expression(-amount)} ({detail if term in measured else 'no such term in the model'})"
            yield Cause("spurious-term", CauseKind.SPURIOUS, why, (contribution,))


def _origins(term: sympy.Expr, context: Context) -> str:
    """List the operators and modules whose cost has a term, largest coefficient first."""
    coefficients: dict[str, sympy.Expr] = {}
    for name in _measured_names(context) & set(context.figure.measures):
        for origin, part in context.derive(name).parts.items():
            coefficient = _coefficients(magnitude(part)).get(term, 0)
            if coefficient:
                module = origin.module or "the model"
                label = f"{origin.operator} in {module}" if origin.operator else module
                coefficients[label] = coefficients.get(label, 0) + coefficient
    ordered = sorted(coefficients, key=lambda label: (-abs(coefficients[label]), label))
    more = f" and {len(ordered) - _ORIGINS_SHOWN} more" if len(ordered) > _ORIGINS_SHOWN else ""
    return ", ".join(ordered[:_ORIGINS_SHOWN]) + more


def _coefficients(expression: sympy.Expr) -> Mapping[sympy.Expr, sympy.Expr]:
    """Return the nonzero coefficients of an expression by term, terms of the highest degree first."""
    coefficients = sympy.expand(expression).as_coefficients_dict()
    ordered = sorted(coefficients, key=lambda term: (-sympy.total_degree(term) if term != 1 else 0, str(term)))
    return {term: coefficients[term] for term in ordered if coefficients[term]}


def _value_at(expression: sympy.Expr, point: Point) -> Fraction:
    return to_fraction(substitute(expression, point))


def _hashable(point: Point) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(point.items()))
