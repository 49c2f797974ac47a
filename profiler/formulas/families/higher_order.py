"""Higher-order operators, which take functions as arguments: ``flex_attention``.

In eager mode its scores are materialised, and the operators of the score function, the softmax and the statistics are
counted one by one. Only the two matrix products are counted here, so that the block mask can be applied to them.
"""

from __future__ import annotations

from math import prod

from profiler.formulas.families.attention import Scores
from profiler.formulas.registry import formula
from profiler.values.records import ITEMSIZE, Cost, TensorSpec


@formula("higher_order::flex_attention")
def flex_attention(
    query: TensorSpec, key: TensorSpec, value: TensorSpec, scores: TensorSpec | None, out: TensorSpec
) -> Cost:
    """Count ``q·kᵀ`` and ``p·v`` on ``(B, H, L, E)``: N·(E + V) MACs for N scores; ``masked_macs`` without masked ones.

    Scores are computed in float32 or wider, and read back in the dtype of the queries.
    """
    pairs = Scores(((query.shape[-2], key.shape[-2]),), prod(query.shape[:-2])).masked_by(scores)
    widths = query.shape[-1] + value.shape[-1]
    score_itemsize = max(query.itemsize, ITEMSIZE["float32"])
    read = score_itemsize * (prod(query.shape) + pairs.keys * key.shape[-1])
    read_back = query.itemsize * (pairs.count + pairs.keys * value.shape[-1])
    return Cost(
        macs=pairs.count * widths,
        masked_macs=None if pairs.unmasked is None else pairs.unmasked * widths,
        bytes_read=int(read + read_back),
        bytes_written=int(score_itemsize * pairs.count) + out.bytes,
    )
