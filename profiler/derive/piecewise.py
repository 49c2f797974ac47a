"""Find where along a line one polynomial ends and another begins."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.derive.fitting import SPARE, solve
from profiler.derive.polynomials import evaluate_monomial, power
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from profiler.derive.samples import Origin

_DEGREE, _PIECES, _SINGLE = 3, 6, 3
#: Sizes side by side from which a piece is recognised.
_ENOUGH = _DEGREE + 1 + SPARE


def find_pieces(
    costs: Callable[[int], Mapping[Origin, int]], sizes: Sequence[int], name: str
) -> list[Sequence[int]] | None:
    """Split sizes into stretches, in each of which every cost is a polynomial; None where they are too many.

    A size that belongs to no stretch, such as a batch of 1 that takes a way of its own, is one by itself.
    """
    found: list[Sequence[int]] = []
    singles = start = 0
    while start < len(sizes):
        end = _reach(costs, sizes, start, name)
        singles += end == start
        if len(found) == _PIECES or singles > _SINGLE:
            return None
        found.append(sizes[start : end + 1])
        start = end + 1
    return found if len(found) > 1 else None


def _reach(costs: Callable[[int], Mapping[Origin, int]], sizes: Sequence[int], start: int, name: str) -> int:
    """Give the last index up to which the polynomials of the sizes from *start* on hold; *start* if they are none."""
    last = min(start + _ENOUGH, len(sizes)) - 1
    if last - start + 1 < _ENOUGH:
        return start
    curves = _curves({size: costs(size) for size in sizes[start : last + 1]}, name)
    if curves is None:
        return start
    step = 1
    while last + step < len(sizes) and _holds(curves, costs, sizes[last + step], name):
        last, step = last + step, 2 * step
    low, high = last, min(last + step, len(sizes))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _holds(curves, costs, sizes[middle], name) else (low, middle)
    return low


def _curves(known: Mapping[int, Mapping[Origin, int]], name: str) -> dict[Origin, list[Fraction]] | None:
    """Give every origin's coefficients; None where one has none."""
    curves = {}
    for origin in {origin for costs in known.values() for origin in costs}:
        values = {size: costs.get(origin, 0) for size, costs in known.items()}
        found = solve([power(CeilStep(name), n) for n in range(_DEGREE + 1)], values)
        if found is None:
            return None
        curves[origin] = found
    return curves


def _holds(
    curves: Mapping[Origin, list[Fraction]], costs: Callable[[int], Mapping[Origin, int]], size: int, name: str
) -> bool:
    measured = costs(size)
    return measured.keys() <= curves.keys() and all(
        measured.get(origin, 0)
        == sum(c * evaluate_monomial(power(CeilStep(name), n), {name: size}) for n, c in enumerate(curve))
        for origin, curve in curves.items()
    )
