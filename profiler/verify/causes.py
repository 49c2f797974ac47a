"""From the causes that a claim names to amounts: each is a step from what is measured towards what is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from profiler.errors import ClaimError
from profiler.expressions import dimension
from profiler.values.findings import CauseKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import sympy

    from profiler.documents import PrintedFigure, StatedCause

    Evaluate = Callable[[sympy.Expr, sympy.Expr], sympy.Expr]


class CauseStep(NamedTuple):
    """A cause, and what it takes away: numbers without their unit."""

    reason: StatedCause
    amount: sympy.Expr


class CauseSteps(NamedTuple):
    """The causes that a claim names, and what they leave of the figure."""

    steps: tuple[CauseStep, ...]
    rest: sympy.Expr


def apply_causes(
    figure: PrintedFigure, ours: sympy.Expr, evaluate: Callable[[str, sympy.Expr], sympy.Expr]
) -> CauseSteps:
    """Take the causes in turn.

    Args:
        figure: The figure.
        ours: What is measured, with its unit.
        evaluate: From the text of a step, and what the figure is before it, to what it is afterwards.

    Raises:
        ClaimError: A step that is no change of unit changes the unit.
    """
    now, steps = ours, []
    for reason in figure.causes:
        following = evaluate(reason.gives, now)
        if (
            CauseKind(reason.kind) is not CauseKind.UNIT
            and 0 not in {now, following}
            and dimension(following) != dimension(now)
        ):
            units = f"{dimension(following)} for {dimension(now)}"
            msg = f"the cause {reason.why!r} gives {units}; only a cause of kind unit may"
            raise ClaimError(msg)
        steps.append(CauseStep(reason, number(now) - number(following)))
        now = following
    return CauseSteps(tuple(steps), number(now))


def number(quantity: sympy.Expr) -> sympy.Expr:
    """Leave a quantity's unit out."""
    return (quantity / dimension(quantity)).expand()
