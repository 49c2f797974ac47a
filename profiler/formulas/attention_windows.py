"""How many pairs of queries and keys a causal mask or a window leaves, in closed form."""

from __future__ import annotations


def visible(queries: int, keys: int, offset: int, before: int | None, after: int | None) -> int:
    """Count the pairs (i, j) of a query and a key that it sees: ``p − before ≤ j ≤ p + after``, at ``p = i + offset``.

    ``offset`` is 0 where the first query stands at the first key, and keys − queries where the last stands at the
    last. None is a window without an end.

    Example:
        >>> visible(3, 3, 0, None, 0), visible(2, 4, 0, None, 0), visible(2, 4, 2, None, 0), visible(4, 4, 0, 1, 0)
        (6, 3, 7, 7)
    """
    upper = queries * keys if after is None else _below(queries, keys, offset + after + 1)
    lower = 0 if before is None else _below(queries, keys, offset - before)
    return upper - lower


def _below(queries: int, keys: int, first: int) -> int:
    """Count the pairs with ``j < first + i``: the sum of ``first + i``, each at least 0 and at most *keys*."""
    return _area(first + queries - 1, keys) - _area(first - 1, keys)


def _area(last: int, ceiling: int) -> int:
    """Sum 1, 2, 3 … *last*, each at most the *ceiling*."""
    if last <= 0:
        return 0
    ramp = min(last, ceiling)
    return ramp * (ramp + 1) // 2 + (last - ramp) * ceiling
