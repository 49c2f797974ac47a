"""Find the steps of a cost that is no polynomial: where, along a line, it jumps at even distances."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.derive.variables import Variable

#: Jumps that are looked at.
_JUMPS = 3


def find_step(cost: Callable[[int], int], known: Callable[[], dict[int, int]], variable: Variable) -> CeilStep | None:
    """Find ``ceil((variable + offset) / size)`` such that *cost* changes only where it does.

    A cost is taken for constant between two sizes that have the same one; whoever uses the step sees whether it fits.

    Args:
        cost: Gives the cost at a size; it measures if it has to.
        known: Gives the costs that are known already.
        variable: The variable, whose sizes are evenly spaced.
    """
    sizes = variable.sizes
    if not isinstance(sizes, range):
        return None
    jumps: list[int] = []
    start = 0
    while len(jumps) < _JUMPS:
        jump = _first_change(cost, known, sizes, start)
        if jump is None:
            break
        jumps.append(jump)
        start = jump
    gaps = {after - before for before, after in pairwise(jumps)}
    if len(gaps) != 1 or (len(jumps) < _JUMPS and jumps[-1] + min(gaps) < len(sizes)):
        return None
    return _step(variable.name, sizes, jumps[0], gaps.pop())


def _first_change(
    cost: Callable[[int], int], known: Callable[[], dict[int, int]], sizes: range, start: int
) -> int | None:
    """Give the first index after *start* at which the cost is another; None where it stays."""
    here = cost(sizes[start])
    others = [size for size, value in known().items() if size > sizes[start] and value != here]
    if others:
        high = sizes.index(min(others))
    elif cost(sizes[-1]) != here:
        high = len(sizes) - 1
    else:
        return None
    same = [size for size, value in known().items() if sizes[start] <= size < sizes[high] and value == here]
    low = max(start, *(sizes.index(size) for size in same))
    reach = 1
    while low + reach < high and cost(sizes[low + reach]) == here:  # a jump is nearer than the far end as a rule
        low, reach = low + reach, 2 * reach
    high = min(high, low + reach)
    while high - low > 1:
        middle = (low + high) // 2
        if cost(sizes[middle]) == here:
            low = middle
        else:
            high = middle
    return high


def _step(variable: str, sizes: range, jump: int, gap: int) -> CeilStep:
    """Write the step that jumps at an index; of the offsets that differ by whole steps, the one nearest below 1."""
    size = gap * sizes.step
    first = sizes[jump]  # the first size of a new value: (first + offset) / size is just above a whole number
    offset = sizes.step - first
    return CeilStep(variable, offset - size * -(-offset // size), size)
