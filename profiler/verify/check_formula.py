"""Check a formula: over a grid of settings, and term by term against the closed form of the live model."""

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
from profiler.verify.causes import apply_causes, number
from profiler.verify.check_number import in_unit
from profiler.verify.context import Context
from profiler.verify.formatting import format_expression, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from profiler.derive import Point
    from profiler.documents import PrintedFigure
    from profiler.values.findings import Claim
    from profiler.verify.causes import CauseSteps
    from profiler.verify.measurements import Measurements

#: Settings that a formula is held against, at least, where its ranges have so many.
SETTINGS = 20
_NAMED = 3


def check_formula(figure: PrintedFigure, claim: Claim, bench: Measurements) -> FigureResult:
    """Hold a formula against a live model.

    Raises:
        ProfilerError: A name, a unit or a formula is wrong, the model failed, or its cost has no closed form.
    """
    context = Context(figure, bench)
    said = in_unit(figure, context.form(context.parse(figure.expression or "")))
    ours = in_unit(figure, context.form(context.parse(figure.measured)))
    steps = apply_causes(figure, ours, lambda text, now: context.form(context.parse(text, "now"), now=now))
    formula = number(said)
    grid = {_frozen(p): (_at(formula, p), _live(figure, context, p)) for p in _settings(context)}
    worst = max(grid, key=lambda p: (abs(grid[p][0] - grid[p][1]) / (abs(grid[p][1]) or 1), p))
    point = dict(worst)
    claimed, measured = grid[worst]
    causes = [*_named(steps, point), *_terms(steps.rest - formula, steps.rest, formula, context, point)]
    finding = Finding(replace(claim, claimed=claimed), measured, tuple(causes))
    ratios = [float(theirs / live) for theirs, live in grid.values() if live]
    values = {name: format_quantity(context.value(name, point)) for name in (*context.known, *figure.measures)}
    return FigureResult(
        figure,
        finding,
        values,
        settings=len(grid),
        ratios=(min(ratios), max(ratios)) if ratios else None,
        at=format_point(point),
        form=format_expression(number(ours)),
    )


def _live(figure: PrintedFigure, context: Context, point: Point) -> Fraction:
    """Measure at one setting, without the closed form."""
    return base_magnitude(in_unit(figure, context.at(context.parse(figure.measured), point)), figure.unit)


def _settings(context: Context) -> Iterable[Point]:
    """List the settings that were measured to find and to verify the closed form, and others up to the least number."""
    variables = context.ranges
    measured = [name for name in context.figure.measures if name in _names(context)]
    found = {_frozen(point): point for name in measured for point in context.derived(name).points}
    draw = random.Random(0)  # noqa: S311 - no secret: the same settings every time
    every = prod(len(v.sizes) for v in variables)
    if every <= SETTINGS:
        return [
            dict(zip([v.name for v in variables], sizes, strict=True))
            for sizes in product(*(v.sizes for v in variables))
        ]
    while len(found) < SETTINGS:
        point = {v.name: draw.choice(v.sizes) for v in variables}
        found[_frozen(point)] = point
    return found.values()


def _names(context: Context) -> set[str]:
    return {symbol.name for symbol in context.parse(context.figure.measured).free_symbols}


def _named(steps: CauseSteps, point: Point) -> Iterator[Cause]:
    """Give the causes that the claim names their amounts at a setting."""
    for reason, amount in steps.steps:
        if amount:
            share = Contribution("", format_expression(amount), _at(amount, point))
            yield Cause(reason.kind, CauseKind(reason.kind), reason.why, (share,))


def _terms(rest: sympy.Expr, measured: sympy.Expr, said: sympy.Expr, context: Context, point: Point) -> Iterator[Cause]:
    """Name what is left term by term: what the formula lacks, and what it has too much."""
    mine, theirs = _coefficients(measured), _coefficients(said)
    for term, left in _coefficients(rest).items():
        share = Contribution("", format_expression(left * term), _at(left * term, point))
        claimed, found = theirs.get(term, 0), mine.get(term, 0)
        if left > 0:
            where = (
                _origins(term, context)
                if not claimed
                else f"it has {format_expression(claimed)}, the model {format_expression(found)}"
            )
            yield Cause(
                "missing-term", CauseKind.MISSING, f"lacks {format_expression(left * term)} ({where})", (share,)
            )
        else:
            where = (
                "nothing in the model"
                if not found
                else f"it has {format_expression(claimed)}, the model {format_expression(found)}"
            )
            yield Cause(
                "spurious-term", CauseKind.SPURIOUS, f"adds {format_expression(-left * term)} ({where})", (share,)
            )


def _origins(term: sympy.Expr, context: Context) -> str:
    """Say which modules and operators make a term, the largest first."""
    shares: dict[str, sympy.Expr] = {}
    for name in _names(context) & set(context.figure.measures):
        for origin, part in context.derived(name).parts.items():
            coefficient = _coefficients(number(part)).get(term, 0)
            if coefficient:
                label = " ".join(word for word in (origin.module or "the model", origin.operator) if word)
                shares[label] = shares.get(label, 0) + coefficient
    ordered = sorted(shares, key=lambda label: (-abs(shares[label]), label))
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return ", ".join(ordered[:_NAMED]) + more


def _coefficients(expression: sympy.Expr) -> Mapping[sympy.Expr, sympy.Expr]:
    """Give the coefficients by term, the terms with the most factors first."""
    found = sympy.expand(expression).as_coefficients_dict()
    ordered = sorted(found, key=lambda term: (-sympy.total_degree(term) if term != 1 else 0, str(term)))
    return {term: found[term] for term in ordered if found[term]}


def _at(expression: sympy.Expr, point: Point) -> Fraction:
    return to_fraction(substitute(expression, point))


def _frozen(point: Point) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(point.items()))
