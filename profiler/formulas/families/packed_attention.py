"""Attention kernels on packed (variable-length) sequences, and on dense ``(B, L, H, E)``.

Legend and costs: see ``attention.py``. The sequence lengths are the differences of the cumulative offsets ``cum_seq``,
or ``seqused_k`` for keys in a KV cache. Where their values are unknown (on ``meta``, for example), every query counts
as if it attends to all keys of the longest sequence, without a mask.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

from profiler.formulas.families import attention
from profiler.formulas.families.attention import Scores, Window
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Number, Shape, TensorSpec

#: A tensor of sequence lengths, or of cumulative offsets.
Lengths = TensorSpec | None

#: Mask types of the memory-efficient kernel: causal, aligned with the first or with the last key.
#: Source: aten/src/ATen/native/transformers/cuda/mem_eff_attention/kernel_forward.h of torch (``CustomMaskType``).
_CAUSAL_FROM_TOP_LEFT, _CAUSAL_FROM_BOTTOM_RIGHT = 1, 2


@formula("aten::_flash_attention_forward", "aten::_flash_attention_forward_no_dropout_inplace")
def flash_attention(
    query: Shape, key: Shape, value: Shape, cum_seq_q: Lengths, cum_seq_k: Lengths, max_k: int, seqused_k: Lengths,
    dropout_p: Number, is_causal: bool, window_size_left: int | None, window_size_right: int | None,
) -> Cost:  # fmt: skip
    """Count attention; a causal mask or window aligns the last query with the last key."""
    window = _window(window_size_left, window_size_right, causal=is_causal)
    scores = _scores(query, key, cum_seq_q, cum_seq_k, max_k, seqused_k, window)
    return attention.forward(scores, query[-1], value[-1], mask=window != (None, None), dropout=dropout_p != 0)


@formula("aten::_flash_attention_backward")
def flash_attention_backward(
    query: Shape, key: Shape, value: Shape, cum_seq_q: Lengths, cum_seq_k: Lengths, max_k: int,
    dropout_p: Number, is_causal: bool, window_size_left: int | None, window_size_right: int | None,
) -> Cost:  # fmt: skip
    """Count the gradients of query, key and value."""
    window = _window(window_size_left, window_size_right, causal=is_causal)
    scores = _scores(query, key, cum_seq_q, cum_seq_k, max_k, None, window)
    return _backward(scores, query, key, value, mask=window != (None, None), dropout=dropout_p != 0)


@formula("torch_attn::_varlen_attn", "torch_attn::_varlen_attn_out")
def varlen_attention(
    query: Shape, key: Shape, value: Shape, cu_seq_q: Lengths, cu_seq_k: Lengths, max_k: int,
    is_causal: bool, window_size: tuple[int, int] | None, seqused_k: Lengths = None,
) -> Cost:  # fmt: skip
    """Count ``torch.nn.attention.varlen``; a causal mask or window aligns the last query with the last key."""
    left, right = window_size or (None, None)
    return flash_attention(
        query, key, value, cu_seq_q, cu_seq_k, max_k, seqused_k, 0, is_causal, left, right
    )  # fmt: skip


@formula("torch_attn::_varlen_attn_backward")
def varlen_attention_backward(
    query: Shape, key: Shape, value: Shape, cu_seq_q: Lengths, cu_seq_k: Lengths, max_k: int,
    is_causal: bool, window_size: tuple[int, int] | None,
) -> Cost:  # fmt: skip
    """Count the gradients of query, key and value."""
    left, right = window_size or (None, None)
    return flash_attention_backward(query, key, value, cu_seq_q, cu_seq_k, max_k, 0, is_causal, left, right)


@formula("aten::_efficient_attention_forward")
def efficient_attention(
    query: Shape, key: Shape, value: Shape, bias: TensorSpec | None, cu_seqlens_q: Lengths, cu_seqlens_k: Lengths,
    max_seqlen_k: int | None, seqlen_k: Lengths, dropout_p: Number, custom_mask_type: int,
    window_size: int | None,
) -> Cost:  # fmt: skip
    """Count attention with a bias, a causal mask (aligned with the first or last key) and a window."""
    window, lower_right = _mask_of_type(custom_mask_type, window_size)
    longest = max_seqlen_k or key[-3]
    scores = _scores(query, key, cu_seqlens_q, cu_seqlens_k, longest, seqlen_k, window, lower_right=lower_right)
    mask = bias is not None or window != (None, None)
    return attention.forward(scores.masked_by(bias), query[-1], value[-1], mask=mask, dropout=dropout_p != 0)


@formula("aten::_efficient_attention_backward")
def efficient_attention_backward(
    query: Shape, key: Shape, value: Shape, bias: TensorSpec | None, cu_seqlens_q: Lengths, cu_seqlens_k: Lengths,
    max_seqlen_k: int, dropout_p: Number, custom_mask_type: int, window_size: int | None,
) -> Cost:  # fmt: skip
    """Count the gradients of query, key and value."""
    window, lower_right = _mask_of_type(custom_mask_type, window_size)
    longest = max_seqlen_k or key[-3]
    scores = _scores(query, key, cu_seqlens_q, cu_seqlens_k, longest, None, window, lower_right=lower_right)
    mask = bias is not None or window != (None, None)
    return _backward(scores.masked_by(bias), query, key, value, mask=mask, dropout=dropout_p != 0)


@formula("aten::_cudnn_attention_forward", "aten::_cudnn_attention_forward_no_dropout_inplace")
def cudnn_attention(
    query: Shape, key: Shape, value: Shape, cum_seq_q: Lengths, cum_seq_k: Lengths, max_k: int, is_causal: bool,
    attn_bias: TensorSpec | None = None, dropout_p: Number = 0, seqused_k: Lengths = None,
) -> Cost:  # fmt: skip
    """Count attention on packed sequences, or on ``(B, H, L, E)`` if there are no offsets.

    A causal mask aligns the last query with the last key if keys are in a cache, else the first with the first.
    """
    if cum_seq_q is None:
        return attention.masked_attention(query, key, value, attn_bias, dropout_p, is_causal)
    window = _window(None, None, causal=is_causal)
    cached = seqused_k is not None
    scores = _scores(query, key, cum_seq_q, cum_seq_k, max_k, seqused_k, window, lower_right=cached)
    mask = attn_bias is not None or is_causal
    return attention.forward(scores, query[-1], value[-1], mask=mask, dropout=dropout_p != 0)


@formula("aten::_cudnn_attention_backward")
def cudnn_attention_backward(
    query: Shape, key: Shape, value: Shape, attn_bias: TensorSpec | None, cum_seq_q: Lengths, cum_seq_k: Lengths,
    max_k: int, dropout_p: Number, is_causal: bool,
) -> Cost:  # fmt: skip
    """Count the gradients of query, key and value."""
    if cum_seq_q is None:
        return attention.masked_attention_backward(query, key, value, attn_bias, dropout_p, is_causal)
    window = _window(None, None, causal=is_causal)
    scores = _scores(query, key, cum_seq_q, cum_seq_k, max_k, None, window, lower_right=False)
    mask = attn_bias is not None or is_causal
    return _backward(scores, query, key, value, mask=mask, dropout=dropout_p != 0)


def _backward(scores: Scores, query: Shape, key: Shape, value: Shape, *, mask: bool, dropout: bool) -> Cost:
    shared = (query[-2] - key[-2]) * prod(key[:-2]) * (key[-1] + value[-1])
    return attention.backward(scores, query[-1], value[-1], mask=mask, dropout=dropout, shared=shared)


def _window(left: int | None, right: int | None, *, causal: bool) -> Window:
    """Return the window, with None for a side that a negative number leaves unbounded."""
    before = None if left is None or left < 0 else left
    after = None if right is None or right < 0 else right
    return before, 0 if causal else after


def _mask_of_type(mask_type: int, window_size: int | None) -> tuple[Window, bool]:
    """Return the window of a ``custom_mask_type``, and whether it is aligned with the last key."""
    causal = mask_type in {_CAUSAL_FROM_TOP_LEFT, _CAUSAL_FROM_BOTTOM_RIGHT}
    before = window_size - 1 if causal and window_size else None
    return (before, 0 if causal else None), mask_type == _CAUSAL_FROM_BOTTOM_RIGHT


def _scores(
    query: Shape, key: Shape, starts_q: Lengths, starts_k: Lengths, longest: int, used: Lengths, window: Window,
    *, lower_right: bool = True,
) -> Scores:  # fmt: skip
    """Return the scores of queries ``(…, L, H, E)`` and keys ``(…, S, G, E)``, within each sequence."""
    heads = query[-2]
    if any(lengths is not None and lengths.values is None for lengths in (starts_q, starts_k, used)):
        return Scores(((prod(query[:-2]), longest),), heads)
    if starts_q is None and used is None:
        scores = Scores(((query[-3], key[-3]),), heads * prod(query[:-3]))
    else:
        queries = _lengths(starts_q) or [query[-3]] * prod(query[:-3])
        keys = used.values if used is not None else _lengths(starts_k)
        scores = Scores(tuple(zip(queries, keys or queries, strict=True)), heads)
    return scores.within(window, lower_right=lower_right)


def _lengths(offsets: Lengths) -> list[int]:
    """Return the lengths between consecutive offsets."""
    return [end - start for start, end in pairwise(offsets.values or ())] if offsets is not None else []
