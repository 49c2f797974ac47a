"""The fused fast paths of ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer``, as the CPU runs them.

Legend: t tokens of width D, F the width of the feed-forward layer, B sequences that are padded to T tokens, H heads,
N scores (``B·H·T²``). Projections and the feed-forward layer take ``4·t·D² + 2·t·D·F`` MACs, attention ``2·N·D/H``.

A nested input has as many tokens as are stored; for attention its sequences are padded to the longest, and what is
padding is masked. Differs from the slow path: queries alone are scaled, and no row of the softmax is looked at for
being masked as a whole. A CUDA device may hand the attention to another kernel, of the same MACs.
Source: aten/src/ATen/native/transformers/attention.cpp and transformer.cpp of torch.
"""

from __future__ import annotations

from math import prod

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.epilogues import activated, biased
from profiler.formulas.families.norms import layer_norm
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec


@formula("aten::_native_multi_head_attention")
def multi_head_attention(
    query: TensorSpec, key: TensorSpec, value: TensorSpec, embed_dim: int, num_head: int,
    mask: TensorSpec | None, need_weights: bool, average_attn_weights: bool,
) -> Cost:  # fmt: skip
    """Count the projections, attention, and the mean of the weights over the heads where that is asked for."""
    batch, length, _ = query.shape
    projected = sum(map(numel, (query, key, value)))
    means = batch * length * length * num_head * (need_weights and average_attn_weights)
    return _total(
        Cost(macs=projected * embed_dim, other_flops=batch * length * 3 * embed_dim),
        _attention(query, num_head, embed_dim // num_head, mask),
        biased(numel(query) * embed_dim, numel(query), "bias"),
        Cost(other_flops=means),
    )


@formula("aten::_transformer_encoder_layer_fwd")
def encoder_layer(
    src: TensorSpec, embed_dim: int, num_heads: int, use_gelu: bool, norm_weight_1: TensorSpec,
    norm_bias_1: TensorSpec, ffn_weight_1: Shape, mask: TensorSpec | None,
) -> Cost:  # fmt: skip
    """Count multi-head attention, the feed-forward layer, and around each a sum and a normalisation."""
    tokens, hidden = numel(src) // embed_dim, ffn_weight_1[0]
    rows = TensorSpec((tokens, embed_dim), src.dtype, tokens * embed_dim)
    normalised = layer_norm(rows, (embed_dim,), norm_weight_1, norm_bias_1)
    return _total(
        multi_head_attention(src, src, src, embed_dim, num_heads, mask, False, True),
        activated(
            biased(numel(src) * hidden, tokens * hidden, "bias"), tokens * hidden, "gelu" if use_gelu else "relu"
        ),
        biased(tokens * hidden * embed_dim, numel(src), "bias"),
        Cost(other_flops=2 * numel(src)),
        normalised,
        normalised,
    )


def _attention(query: TensorSpec, heads: int, width: int, mask: TensorSpec | None) -> Cost:
    """Count the scaling of the queries, two products, and the softmax of the rows that are tokens."""
    batch, length, _ = query.shape
    scores = batch * heads * length * length
    tokens = numel(query) // (heads * width)
    real = heads * sum(n * n for n in _lengths(query))
    return Cost(
        macs=2 * scores * width,
        masked_macs=2 * (real if mask is None or mask.unmasked is None else _unmasked_scores(scores, mask)) * width,
        other_flops=batch * length * heads * width + 2 * real + 2 * reduction_ops(real, heads * tokens),
        transcendentals=real,
    )


def _lengths(query: TensorSpec) -> list[int]:
    """List the lengths of the sequences: a nested tensor has rows ``(length, D)`` of sizes."""
    batch, length, _ = query.shape
    return list(query.values[::2]) if query.values is not None else [length] * batch


def _unmasked_scores(scores: int, mask: TensorSpec) -> int:
    """Count the scores that a mask leaves, which stands for all that it is broadcast to."""
    return scores * mask.unmasked // max(prod(mask.shape), 1) if mask.unmasked is not None else scores


def _total(*costs: Cost) -> Cost:
    """Add up the parts of one operator; bytes are those of its operands, as of any."""
    return Cost(
        macs=sum(cost.macs for cost in costs),
        masked_macs=sum(cost.macs if cost.masked_macs is None else cost.masked_macs for cost in costs),
        other_flops=sum(cost.other_flops for cost in costs),
        transcendentals=sum(cost.transcendentals for cost in costs),
    )
