"""The fused fast paths of ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer``, as they run on the CPU.

Legend: t tokens of width D, F the width of the feed-forward layer, B sequences padded to T tokens, H heads, N scores
(``B·H·T²``). Projections and feed-forward layer take ``4·t·D² + 2·t·D·F`` MACs, attention ``2·N·D/H``.

Of a nested input the stored tokens count. For attention its sequences are padded to the longest, and the padding is
masked. Unlike the slow path, only queries are scaled, and softmax rows are not checked for being fully masked. On CUDA
the attention may run in another kernel, with the same MACs.

Source: aten/src/ATen/native/transformers/attention.cpp and transformer.cpp of torch.
"""

from __future__ import annotations

from math import prod

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.epilogues import with_activation, with_bias
from profiler.formulas.families.norms import layer_norm
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec


@formula("aten::_native_multi_head_attention")
def multi_head_attention(
    query: TensorSpec, key: TensorSpec, value: TensorSpec, embed_dim: int, num_head: int,
    mask: TensorSpec | None, need_weights: bool, average_attn_weights: bool,
) -> Cost:  # fmt: skip
    """Count the projections, attention, and the mean of the weights over the heads if it is requested."""
    batch, length, _ = query.shape
    elements = sum(map(numel, (query, key, value)))
    means = batch * length * length * num_head * (need_weights and average_attn_weights)
    return _total(
        Cost(macs=elements * embed_dim, other_flops=batch * length * 3 * embed_dim),
        _attention(query, num_head, embed_dim // num_head, mask),
        with_bias(numel(query) * embed_dim, numel(query), "bias"),
        Cost(other_flops=means),
    )


@formula("aten::_transformer_encoder_layer_fwd")
def encoder_layer(
    src: TensorSpec, embed_dim: int, num_heads: int, use_gelu: bool, norm_weight_1: TensorSpec,
    norm_bias_1: TensorSpec, ffn_weight_1: Shape, mask: TensorSpec | None,
) -> Cost:  # fmt: skip
    """Count multi-head attention and the feed-forward layer, each with a residual add and a layer norm."""
    tokens, hidden = numel(src) // embed_dim, ffn_weight_1[0]
    rows = TensorSpec((tokens, embed_dim), src.dtype, tokens * embed_dim)
    normalised = layer_norm(rows, (embed_dim,), norm_weight_1, norm_bias_1)
    return _total(
        multi_head_attention(src, src, src, embed_dim, num_heads, mask, False, True),
        with_activation(
            with_bias(numel(src) * hidden, tokens * hidden, "bias"), tokens * hidden, "gelu" if use_gelu else "relu"
        ),
        with_bias(tokens * hidden * embed_dim, numel(src), "bias"),
        Cost(other_flops=2 * numel(src)),
        normalised,
        normalised,
    )


def _attention(query: TensorSpec, heads: int, width: int, mask: TensorSpec | None) -> Cost:
    """Count scaling the queries, two products, and the softmax of the rows that are not padding."""
    batch, length, _ = query.shape
    scores = batch * heads * length * length
    tokens = numel(query) // (heads * width)
    unpadded = heads * sum(n * n for n in _lengths(query))
    return Cost(
        macs=2 * scores * width,
        masked_macs=2 * (unpadded if mask is None or mask.unmasked is None else _unmasked_scores(scores, mask)) * width,
        other_flops=batch * length * heads * width + 2 * unpadded + 2 * reduction_ops(unpadded, heads * tokens),
        transcendentals=unpadded,
    )


def _lengths(query: TensorSpec) -> list[int]:
    """Return the lengths of the sequences; ``values`` of a nested tensor are the sizes ``(length, D)`` of each."""
    batch, length, _ = query.shape
    return list(query.values[::2]) if query.values is not None else [length] * batch


def _unmasked_scores(scores: int, mask: TensorSpec) -> int:
    """Count the scores left by a mask that is broadcast to all of them."""
    return scores * mask.unmasked // max(prod(mask.shape), 1) if mask.unmasked is not None else scores


def _total(*costs: Cost) -> Cost:
    """Return the sum of the parts of one operator; bytes stay unset: those of its operands and results count."""
    return Cost(
        macs=sum(cost.macs for cost in costs),
        masked_macs=sum(cost.macs if cost.masked_macs is None else cost.masked_macs for cost in costs),
        other_flops=sum(cost.other_flops for cost in costs),
        transcendentals=sum(cost.transcendentals for cost in costs),
    )


@formula("aten::_transform_bias_rescale_qkv")
def transform_bias_rescale_qkv(out: tuple[TensorSpec, ...]) -> Cost:
    """Count the bias added to queries, keys and values, and the scale of the queries: a kernel of its own on CUDA."""
    return Cost(other_flops=sum(map(numel, out)) + numel(out[0]))
