"""Split a range of sizes into intervals, so that every cost is a polynomial on each of them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.derive.fitting import SPARE, solve
from profiler.derive.polynomials import evaluate_monomial, power
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from profiler.derive.samples import Origin

    #: The coefficients of each origin's polynomial, by exponent.
    Curves = Mapping[Origin, list[Fraction]]

_DEGREE, _PIECES, _SINGLE = 3, 6, 3
#: Adjacent sizes that determine an interval's polynomials and leave some to check them.
_ENOUGH = _DEGREE + 1 + SPARE


def find_pieces(
    costs: Callable[[int], Mapping[Origin, int]], sizes: Sequence[int], name: str
) -> list[Sequence[int]] | None:
    """Split *sizes* into intervals on each of which every cost is a polynomial.

    A size that fits into no interval, such as a batch of 1 that takes another code path, becomes an interval by itself.

    Args:
        costs: Returns the cost at a size, by origin.
        sizes: The sizes of the variable.
        name: The name of the variable.

    Returns:
        The intervals in ascending order; None if there is only one, or if there are too many.
    """
    intervals: list[Sequence[int]] = []
    singles = start = 0
    while start < len(sizes):
        end = _interval_end(costs, sizes, start, name)
        singles += end == start
        if len(intervals) == _PIECES or singles > _SINGLE:
            return None
        intervals.append(sizes[start : end + 1])
        start = end + 1
    return intervals if len(intervals) > 1 else None


def _interval_end(costs: Callable[[int], Mapping[Origin, int]], sizes: Sequence[int], start: int, name: str) -> int:
    """Return the last index at which the polynomials through the sizes from *start* on still hold.

    Return *start* if there are no such polynomials.
    """
    last = min(start + _ENOUGH, len(sizes)) - 1
    if last - start + 1 < _ENOUGH:
        return start
    curves = _fit_curves({size: costs(size) for size in sizes[start : last + 1]}, name)
    if curves is None:
        return start
    step = 1
    while last + step < len(sizes) and _matches(curves, costs(sizes[last + step]), sizes[last + step], name):
        last, step = last + step, 2 * step
    low, high = last, min(last + step, len(sizes))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _matches(curves, costs(sizes[middle]), sizes[middle], name) else (low, middle)
    return low


def _fit_curves(line: Mapping[int, Mapping[Origin, int]], name: str) -> Curves | None:
    """Fit a polynomial to every origin's costs; return None if one of them has no fit."""
    curves = {}
    for origin in {origin for costs in line.values() for origin in costs}:
        values = {size: costs.get(origin, 0) for size, costs in line.items()}
        coefficients = solve([power(CeilStep(name), n) for n in range(_DEGREE + 1)], values)
        if coefficients is None:
            return None
        curves[origin] = coefficients
    return curves


def _matches(curves: Curves, costs: Mapping[Origin, int], size: int, name: str) -> bool:
    """Return whether every cost at a size is the value of its polynomial."""
    return costs.keys() <= curves.keys() and all(
        costs.get(origin, 0)
        == sum(c * evaluate_monomial(power(CeilStep(name), n), {name: size}) for n, c in enumerate(curve))
        for origin, curve in curves.items()
    )
