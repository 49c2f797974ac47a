"""Scaled dot-product attention in one kernel, forward and backward.

Legend: B sequences, H heads of queries and G of keys (H/G share one), L queries, S keys, E and V the widths of a key
and of a value, N scores (``B·H·L·S``). Forward takes ``N·(E + V)`` MACs, backward ``N·(3·E + 2·V)``: the scores again,
and the gradients of values, probabilities, queries and keys. ``masked_macs`` has, in place of N, the scores that the
mask lets through, where that is known: from ``is_causal``, from a window, or from the values of a mask.

Outside the MACs a kernel is counted as the operators that it replaces. Forward: both operands are scaled by √scale
(``B·H·(L + S)·E``), a mask is added (N), the softmax (``softmax.py``), dropout compares, divides and multiplies (3·N).
Backward: scaling twice, the mask, ``exp(score − logsumexp)``, dropout twice, the rows of ``grad·out`` summed
(``2·V − 1`` each), that subtracted from the gradients of the probabilities and the rest multiplied by those (2·N), and
the gradients of keys and values added where heads share them. Masked scores are worked on like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from profiler.formulas.attention_windows import visible
from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec

#: Which keys a query sees: those at its place and so many before and after it; None is without end.
Window = tuple[int | None, int | None]
_EVERYTHING: Window = (None, None)
_CAUSAL: Window = (None, 0)


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one call: of each sequence, for each head."""

    #: Queries and keys of each sequence that differs in those.
    lengths: tuple[tuple[int, int], ...]
    #: Heads that look at each of them, times the sequences that are of the same lengths.
    copies: int
    #: Scores that the mask lets through; None without a mask, or where its values are not known.
    unmasked: int | None = None

    @property
    def rows(self) -> int:
        """Queries of all heads: rows of the softmax."""
        return self.copies * sum(queries for queries, _ in self.lengths)

    @property
    def keys(self) -> int:
        """Keys as the heads of the queries see them."""
        return self.copies * sum(keys for _, keys in self.lengths)

    @property
    def count(self) -> int:
        """Scores, masked ones included."""
        return self.copies * sum(queries * keys for queries, keys in self.lengths)

    def seen_through(self, window: Window, *, from_the_end: bool) -> Scores:
        """Keep the scores in a window."""
        if window == _EVERYTHING:
            return self
        unmasked = sum(visible(q, k, k - q if from_the_end else 0, *window) for q, k in self.lengths)
        return replace(self, unmasked=self.copies * unmasked)

    def masked_by(self, mask: TensorSpec | None) -> Scores:
        """Keep the scores that an explicit mask lets through; it holds for every row that it is broadcast to."""
        if mask is None or mask.unmasked is None:
            return self
        return replace(self, unmasked=self.count * mask.unmasked // max(prod(mask.shape), 1))


def forward(scores: Scores, key_width: int, value_width: int, *, mask: bool, dropout: bool) -> Cost:
    """Count ``softmax(q·kᵀ·scale + mask)·v``."""
    n, widths = scores.count, key_width + value_width
    scaling = (scores.rows + scores.keys) * key_width
    softmax = 3 * n + 3 * reduction_ops(n, scores.rows)
    return Cost(
        macs=n * widths,
        masked_macs=None if scores.unmasked is None else scores.unmasked * widths,
        other_flops=scaling + softmax + n * mask + 3 * n * dropout,
        transcendentals=n,
    )


def backward(scores: Scores, key_width: int, value_width: int, *, mask: bool, dropout: bool, shared: int) -> Cost:
    """Count the five products of the gradients; *shared* elements of those are added between heads."""
    n, widths = scores.count, 3 * key_width + 2 * value_width
    scaling = 2 * (scores.rows + scores.keys) * key_width
    row_sums = scores.rows * (2 * value_width - 1)
    return Cost(
        macs=n * widths,
        masked_macs=None if scores.unmasked is None else scores.unmasked * widths,
        other_flops=scaling + row_sums + 3 * n + n * mask + 6 * n * dropout + shared,
        transcendentals=n,
    )


@formula(
    "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_attention_math_for_mps",
)
def masked_attention(
    query: Shape, key: Shape, value: Shape, attn_mask: TensorSpec | None, dropout_p: float | None, is_causal: bool
) -> Cost:
    """Count attention on ``(B, H, L, E)`` with the mask that the user gave; query i sees keys j ≤ i if causal."""
    scores = _dense(query, key, is_causal, attn_mask)
    added = is_causal or attn_mask is not None
    return forward(scores, query[-1], value[-1], mask=added, dropout=dropout_p != 0)


@formula("aten::_scaled_dot_product_flash_attention")
def flash_attention(query: Shape, key: Shape, value: Shape, dropout_p: float | None, is_causal: bool) -> Cost:
    """Count attention on ``(B, H, L, E)`` without an explicit mask."""
    return masked_attention(query, key, value, None, dropout_p, is_causal)


@formula(
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
    "aten::_scaled_dot_product_fused_attention_overrideable",
)
def biased_attention(
    query: Shape, key: Shape, value: Shape, attn_bias: TensorSpec | None, dropout_p: float | None, is_causal: bool
) -> Cost:
    """Count attention on ``(B, H, L, E)`` with a mask that is added."""
    return masked_attention(query, key, value, attn_bias, dropout_p, is_causal)


@formula("aten::_scaled_dot_product_flash_attention_for_cpu_backward")
def masked_attention_backward(
    query: Shape, key: Shape, value: Shape, attn_mask: TensorSpec | None, dropout_p: float | None, is_causal: bool
) -> Cost:
    """Count the gradients of queries, keys and values."""
    scores = _dense(query, key, is_causal, attn_mask)
    added, heads = is_causal or attn_mask is not None, prod(query[:-2]) - prod(key[:-2])
    shared = max(heads, 0) * key[-2] * (key[-1] + value[-1])
    return backward(scores, query[-1], value[-1], mask=added, dropout=dropout_p != 0, shared=shared)


@formula("aten::_scaled_dot_product_flash_attention_backward")
def flash_attention_backward(query: Shape, key: Shape, value: Shape, dropout_p: float | None, is_causal: bool) -> Cost:
    """Count the gradients of queries, keys and values, without an explicit mask."""
    return masked_attention_backward(query, key, value, None, dropout_p, is_causal)


@formula(
    "aten::_scaled_dot_product_efficient_attention_backward",
    "aten::_scaled_dot_product_cudnn_attention_backward",
    "aten::_scaled_dot_product_fused_attention_overrideable_backward",
)
def biased_attention_backward(
    query: Shape, key: Shape, value: Shape, attn_bias: TensorSpec | None, dropout_p: float | None, is_causal: bool
) -> Cost:
    """Count the gradients of queries, keys and values, and of the mask, which are those of the scores."""
    return masked_attention_backward(query, key, value, attn_bias, dropout_p, is_causal)


def _dense(query: Shape, key: Shape, is_causal: bool, mask: TensorSpec | None) -> Scores:
    """Take the scores of ``(B, H, L, E)`` by ``(B, G, S, E)``."""
    scores = Scores(((query[-2], key[-2]),), prod(query[:-2]))
    window = _CAUSAL if is_causal else _EVERYTHING
    return scores.seen_through(window, from_the_end=False).masked_by(mask)
