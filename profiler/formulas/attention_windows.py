"""Count the query-key pairs that a causal mask or a sliding window keeps, in closed form."""

from __future__ import annotations


def visible_pairs(queries: int, keys: int, offset: int, before: int | None, after: int | None) -> int:
    """Count the pairs of query i and key j with ``p − before ≤ j ≤ p + after``, where ``p = i + offset``.

    Args:
        queries: Number of queries.
        keys: Number of keys.
        offset: Position of the first query among the keys: 0 aligns the window to the upper left corner of the score
            matrix, ``keys - queries`` to the lower right corner.
        before: Number of keys before its own position that a query attends to; None for all.
        after: Number of keys after its own position that a query attends to; None for all.

    Example:
        >>> visible_pairs(3, 3, 0, None, 0)  # causal
        6
        >>> visible_pairs(2, 4, 2, None, 0)  # causal, the last query at the last key
        7
        >>> visible_pairs(4, 4, 0, 1, 0)  # causal, and at most one key back
        7
    """
    upper = queries * keys if after is None else _pairs_below(queries, keys, offset + after + 1)
    lower = 0 if before is None else _pairs_below(queries, keys, offset - before)
    return upper - lower


def _pairs_below(queries: int, keys: int, first: int) -> int:
    """Count the pairs with ``j < first + i``: the sum of ``first + i``, clamped to 0 … *keys*, over the queries."""
    return _capped_sum(first + queries - 1, keys) - _capped_sum(first - 1, keys)


def _capped_sum(last: int, cap: int) -> int:
    """Sum ``min(i, cap)`` for i from 1 to *last*."""
    if last <= 0:
        return 0
    ramp = min(last, cap)
    return ramp * (ramp + 1) // 2 + (last - ramp) * cap
