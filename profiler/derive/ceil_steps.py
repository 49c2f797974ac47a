"""Find the step of a cost that is not a polynomial: the cost then jumps at equal distances along a line."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.derive.variables import Variable

#: Jumps to locate; two equal distances between them make a step.
_JUMPS = 3


def find_step(cost: Callable[[int], int], sampled: Callable[[], dict[int, int]], variable: Variable) -> CeilStep | None:
    """Find ``ceil((variable + offset) / size)`` such that *cost* changes only where this step does.

    A cost that is equal at two sizes is assumed to be constant between them. The caller checks whether the step fits.

    Args:
        cost: Returns the cost at a size; this may run the model.
        sampled: Returns the costs sampled so far, by size.
        variable: The variable, with evenly spaced sizes.
    """
    sizes = variable.sizes
    if not isinstance(sizes, range):
        return None
    jumps: list[int] = []
    start = 0
    while len(jumps) < _JUMPS:
        jump = _next_jump(cost, sampled, sizes, start)
        if jump is None:
            break
        jumps.append(jump)
        start = jump
    gaps = {after - before for before, after in pairwise(jumps)}
    if len(gaps) != 1 or (len(jumps) < _JUMPS and jumps[-1] + min(gaps) < len(sizes)):
        return None
    return _step(variable.name, sizes, jumps[0], gaps.pop())


def _next_jump(
    cost: Callable[[int], int], sampled: Callable[[], dict[int, int]], sizes: range, start: int
) -> int | None:
    """Return the first index after *start* at which the cost differs; None if it stays the same to the end."""
    here = cost(sizes[start])
    others = [size for size, value in sampled().items() if size > sizes[start] and value != here]
    if others:
        high = sizes.index(min(others))
    elif cost(sizes[-1]) != here:
        high = len(sizes) - 1
    else:
        return None
    same = [size for size, value in sampled().items() if sizes[start] <= size < sizes[high] and value == here]
    low = max(start, *(sizes.index(size) for size in same))
    reach = 1
    while low + reach < high and cost(sizes[low + reach]) == here:  # the next jump is usually near
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
    """Return the step with a jump at an index and every *gap* indices; its offset is the largest one below 1."""
    size = gap * sizes.step
    first = sizes[jump]  # the first size after the jump: (first + offset) / size is just above an integer
    offset = sizes.step - first
    return CeilStep(variable, offset - size * -(-offset // size), size)
