"""Fused scaled dot-product attention, forward and backward.

Legend: B sequences, H query heads and G key/value heads (H/G query heads share each), L queries, S keys, E and V the
head dimensions of keys and of values, N scores (``B·H·L·S``).

The forward pass takes ``N·(E + V)`` MACs, the backward pass ``N·(3·E + 2·V)``: it recomputes the scores, and computes
the gradients of values, probabilities, queries and keys. ``masked_macs`` replaces N by the number of unmasked scores,
if it is known: from ``is_causal``, from a window, or from the values of a mask.

The arithmetic outside the MACs is that of the unfused operators. Forward: queries and keys are scaled by √scale
(``B·H·(L + S)·E``), a mask is added (N), the softmax is computed (see ``softmax.py``), and dropout compares, divides
and multiplies (3·N). Backward: scaling twice, the mask, ``exp(score − logsumexp)``, dropout twice, the row sums of
``grad·out`` (``2·V − 1`` per row), which are subtracted from the gradients of the probabilities before these are
multiplied by the probabilities (2·N), and the adds of key and value gradients over query heads that share them. Masked
scores are computed like all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from profiler.formulas.attention_windows import visible_pairs
from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Number, Shape, TensorSpec

#: How many keys before and after its own position a query attends to; None for all.
Window = tuple[int | None, int | None]
_EVERYTHING: Window = (None, None)
_CAUSAL: Window = (None, 0)


@dataclass(frozen=True, slots=True)
class Scores:
    """The attention scores of one call, over all sequences and heads."""

    #: Numbers of queries and keys, per sequence; a single pair if all sequences have the same.
    lengths: tuple[tuple[int, int], ...]
    #: How often each pair of lengths occurs: the heads, times the sequences if these have the same lengths.
    copies: int
    #: Number of unmasked scores; None without a mask, or if its values are unknown.
    unmasked: int | None = None

    @property
    def rows(self) -> int:
        """Queries of all heads: the rows of the softmax."""
        return self.copies * sum(queries for queries, _ in self.lengths)

    @property
    def keys(self) -> int:
        """Keys of all query heads; keys that heads share count once for each."""
        return self.copies * sum(keys for _, keys in self.lengths)

    @property
    def count(self) -> int:
        """Number of scores, including masked ones."""
        return self.copies * sum(queries * keys for queries, keys in self.lengths)

    def within(self, window: Window, *, lower_right: bool) -> Scores:
        """Mask the scores outside *window*, aligned to the lower right or upper left corner of the score matrix."""
        if window == _EVERYTHING:
            return self
        unmasked = sum(visible_pairs(q, k, k - q if lower_right else 0, *window) for q, k in self.lengths)
        return replace(self, unmasked=self.copies * unmasked)

    def masked_by(self, mask: TensorSpec | None) -> Scores:
        """Apply an explicit mask, which is broadcast to the scores."""
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
    """Count the five products of the backward pass, and *shared* adds of gradients between heads."""
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
    query: Shape, key: Shape, value: Shape, attn_mask: TensorSpec | None, dropout_p: Number, is_causal: bool
) -> Cost:
    """Count attention on ``(B, H, L, E)`` with a mask; if causal, query i attends to keys j ≤ i."""
    scores = _dense(query, key, is_causal, attn_mask)
    added = is_causal or attn_mask is not None
    return forward(scores, query[-1], value[-1], mask=added, dropout=dropout_p != 0)


@formula("aten::_scaled_dot_product_flash_attention")
def flash_attention(query: Shape, key: Shape, value: Shape, dropout_p: Number, is_causal: bool) -> Cost:
    """Count attention on ``(B, H, L, E)`` without an explicit mask."""
    return masked_attention(query, key, value, None, dropout_p, is_causal)


@formula(
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
    "aten::_scaled_dot_product_fused_attention_overrideable",
)
def biased_attention(
    query: Shape, key: Shape, value: Shape, attn_bias: TensorSpec | None, dropout_p: Number, is_causal: bool
) -> Cost:
    """Count attention on ``(B, H, L, E)`` with an additive mask."""
    return masked_attention(query, key, value, attn_bias, dropout_p, is_causal)


@formula("aten::_scaled_dot_product_flash_attention_for_cpu_backward")
def masked_attention_backward(
    query: Shape, key: Shape, value: Shape, attn_mask: TensorSpec | None, dropout_p: Number, is_causal: bool
) -> Cost:
    """Count the gradients of queries, keys and values."""
    scores = _dense(query, key, is_causal, attn_mask)
    added, extra_heads = is_causal or attn_mask is not None, prod(query[:-2]) - prod(key[:-2])
    shared = max(extra_heads, 0) * key[-2] * (key[-1] + value[-1])
    return backward(scores, query[-1], value[-1], mask=added, dropout=dropout_p != 0, shared=shared)


@formula("aten::_scaled_dot_product_flash_attention_backward")
def flash_attention_backward(query: Shape, key: Shape, value: Shape, dropout_p: Number, is_causal: bool) -> Cost:
    """Count the gradients of queries, keys and values, without an explicit mask."""
    return masked_attention_backward(query, key, value, None, dropout_p, is_causal)


@formula(
    "aten::_scaled_dot_product_efficient_attention_backward",
    "aten::_scaled_dot_product_cudnn_attention_backward",
    "aten::_scaled_dot_product_fused_attention_overrideable_backward",
)
def biased_attention_backward(
    query: Shape, key: Shape, value: Shape, attn_bias: TensorSpec | None, dropout_p: Number, is_causal: bool
) -> Cost:
    """Count the gradients of queries, keys and values; the gradient of the mask is that of the scores."""
    return masked_attention_backward(query, key, value, attn_bias, dropout_p, is_causal)


def _dense(query: Shape, key: Shape, is_causal: bool, mask: TensorSpec | None) -> Scores:
    """Return the scores of queries ``(B, H, L, E)`` and keys ``(B, G, S, E)``."""
    scores = Scores(((query[-2], key[-2]),), prod(query[:-2]))
    window = _CAUSAL if is_causal else _EVERYTHING
    return scores.within(window, lower_right=False).masked_by(mask)
