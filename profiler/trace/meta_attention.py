"""Attention on ``meta`` runs the fused kernel that other devices run, with its own backward.

Torch picks the kernel of ``scaled_dot_product_attention`` by device, and knows none for ``meta``: there it would
compose attention of products and a softmax over all scores, whose bytes grow with the square of the length. Here
``meta`` picks as the CPU does; and with dropout, which the CPU does not fuse, as CUDA does. The context
``torch.nn.attention.sdpa_kernel`` is obeyed: with ``SDPBackend.MATH`` alone the composition runs.

Source: aten/src/ATen/native/transformers/sdp_utils_cpp.cpp (use_flash_attention_cpp) and attention.cpp of torch.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_HALVES = (torch.float16, torch.bfloat16)
_DTYPES = (*_HALVES, torch.float32, torch.float64)
_DIMENSIONS = 4  # batch, heads, length, width


@contextmanager
def fused_attention_on_meta() -> Iterator[None]:
    """Run attention on ``meta`` in the block as other devices run it; the dispatcher is changed for all threads."""
    _takes_three_dimensions()  # asked here, where nothing records it
    library = torch.library.Library("aten", "IMPL")
    try:
        library.impl("scaled_dot_product_attention", _attention, "AutogradMeta")
        yield
    finally:
        library._destroy()


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Run the fused kernel if it accepts the operands, else the composition."""
    if query.dim() == key.dim() == value.dim() == _DIMENSIONS - 1 and _takes_three_dimensions():
        if attn_mask is not None and attn_mask.dim() == _DIMENSIONS - 1:
            attn_mask = attn_mask.unsqueeze(0)
        query, key, value = query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0)
        batch = _attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        return batch.squeeze(0)
    if not _is_fused(query, key, value, attn_mask):
        composed: torch.Tensor = _ATTENTION.decompose(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
        return composed
    bias = _additive(attn_mask, query.dtype)
    aten = torch.ops.aten
    if not dropout_p:
        fused = aten._scaled_dot_product_flash_attention_for_cpu
        results = fused(query, key, value, 0.0, is_causal, attn_mask=bias, scale=scale)
    elif bias is None and query.dtype in _HALVES:
        results = aten._scaled_dot_product_flash_attention(query, key, value, dropout_p, is_causal, scale=scale)
    else:
        if bias is not None:
            bias = bias.expand(*query.shape[:-1], key.shape[-2])
        fused = aten._scaled_dot_product_efficient_attention
        results = fused(query, key, value, bias, query.requires_grad, dropout_p, is_causal, scale=scale)
    result: torch.Tensor = results[0]
    return result


def _is_fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> bool:
    """Return whether the fused kernel of the CPU accepts the operands, dropout apart."""
    tensors = (query, key, value)
    return (
        torch.backends.cuda.flash_sdp_enabled()
        and not any(tensor.is_nested for tensor in tensors)
        and all(tensor.dim() == _DIMENSIONS and tensor.stride(-1) == 1 for tensor in tensors)
        and query.dtype in _DTYPES
        and query.shape[-1] == key.shape[-1] == value.shape[-1]
        and query.shape[0] == key.shape[0] == value.shape[0]
        and 0 not in (query.shape[-2], key.shape[-2])
        and not (mask is not None and mask.requires_grad)
    )


@cache
def _takes_three_dimensions() -> bool:
    """Return whether torch fuses attention without a batch too, as newer versions do: they add one, and squeeze it."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        x = torch.ones(1, 1, 1, device="cpu", requires_grad=True)
        node = functional.scaled_dot_product_attention(x, x, x).grad_fn
    return "Squeeze" in type(node).__name__


def _additive(mask: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    """Return the mask that is added to the scores: −∞ where a Boolean one is false."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.where(mask, 0.0, torch.scalar_tensor(float("-inf"), dtype=dtype, device=mask.device))
