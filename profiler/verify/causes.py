"""Compute the amounts of the causes that a claim states, as steps from the measured value to the printed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from profiler.errors import ClaimError
from profiler.expressions import dimension
from profiler.values.findings import CauseKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import sympy

    from profiler.documents import PrintedFigure, StatedCause


class CauseStep(NamedTuple):
    """A stated cause, and the amount that it subtracts, in base units."""

    cause: StatedCause
    amount: sympy.Expr


class CauseSteps(NamedTuple):
    """The stated causes with their amounts, and what remains of the measured value after them, in base units."""

    steps: tuple[CauseStep, ...]
    rest: sympy.Expr


def apply_causes(
    figure: PrintedFigure, ours: sympy.Expr, evaluate: Callable[[str, sympy.Expr], sympy.Expr]
) -> CauseSteps:
    """Apply the stated causes of a figure in order.

    Args:
        figure: The figure.
        ours: The measured value, with its unit.
        evaluate: Maps the formula of a step and the value before it to the value after it.

    Raises:
        ClaimError: A step changes the unit, but is not of kind ``unit``.
    """
    now, steps = ours, []
    for cause in figure.causes:
        following = evaluate(cause.gives, now)
        changes_unit = 0 not in {now, following} and dimension(following) != dimension(now)
        if changes_unit and CauseKind(cause.kind) is not CauseKind.UNIT:
            units = f"from {dimension(now)} to {dimension(following)}"
            msg = f"the cause {cause.why!r} changes the unit {units}; only a cause of kind unit may"
            raise ClaimError(msg)
        steps.append(CauseStep(cause, magnitude(now) - magnitude(following)))
        now = following
    return CauseSteps(tuple(steps), magnitude(now))


def magnitude(quantity: sympy.Expr) -> sympy.Expr:
    """Return a quantity in base units, without its unit."""
    return (quantity / dimension(quantity)).expand()
