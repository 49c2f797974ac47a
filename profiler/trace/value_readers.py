"""Arguments whose values the work depends on: attention masks, lengths of sequences, offsets of groups."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from profiler.values.records import TensorSpec

#: From what was seen of an argument, and the live tensor, to what is kept of it.
ValueReader = Callable[[TensorSpec, torch.Tensor], TensorSpec]
#: The arguments of an operator to look into, by position and by name.
ValueReaders = tuple[dict[int, ValueReader], dict[str, ValueReader]]

_MASKS = frozenset({"attn_mask", "attn_bias", "bias", "mask"})
_LENGTHS = frozenset({
    "cu_seq_k", "cu_seq_q", "cu_seqlens_k", "cu_seqlens_q", "cum_seq_k", "cum_seq_q", "offs", "seqlen_k", "seqused_k",
})  # fmt: skip
#: Operators whose masks tell what is left out.
_INVERTED = frozenset({"aten::_native_multi_head_attention", "aten::_transformer_encoder_layer_fwd"})


def value_readers_of(operator: Any) -> ValueReaders | None:
    """Say which arguments of an operator tell by their values, and how: by position and by name; None for most."""
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return None
    ways: dict[str, ValueReader] = {a.name: keep_lengths for a in schema.arguments if a.name in _LENGTHS}
    if schema.name in _INVERTED:
        ways["mask"] = count_zeros
    elif "attention" in schema.name:
        ways |= {a.name: count_unmasked for a in schema.arguments if a.name in _MASKS}
    return ({i: ways[a.name] for i, a in enumerate(schema.arguments) if a.name in ways}, ways) if ways else None


def read_values(seen: Any, live: Any, way: ValueReader | None) -> Any:
    """Look at the values of an argument, where it has any."""
    known = way is not None and isinstance(live, torch.Tensor) and not live.is_meta and not _is_fake(live)
    return way(seen, live) if way is not None and known else seen


def keep_lengths(seen: TensorSpec, live: torch.Tensor) -> TensorSpec:
    """Keep a few integers as they are."""
    return seen._replace(values=tuple(live.tolist()))


def count_unmasked(seen: TensorSpec, live: torch.Tensor) -> TensorSpec:
    """Count the elements of an attention mask that let their score through.

    A Boolean mask keeps where it is true; an additive one masks with −inf, or with the lowest number of its dtype.
    """
    if live.is_floating_point():
        return seen._replace(kept=_count(live, lambda mask: mask > torch.finfo(mask.dtype).min))
    return seen._replace(kept=_count(live, lambda mask: mask))


def count_zeros(seen: TensorSpec, live: torch.Tensor) -> TensorSpec:
    """Count the elements of a mask that leaves out what is not zero."""
    return seen._replace(kept=_count(live, lambda mask: mask == 0))


def _count(mask: torch.Tensor, kept: Callable[[torch.Tensor], torch.Tensor]) -> int:
    """Count what is kept; a dimension that is expanded is looked at once."""
    stored = mask[tuple(slice(1) if step == 0 else slice(None) for step in mask.stride())]
    return int(kept(stored).count_nonzero()) * (prod(mask.shape) // max(prod(stored.shape), 1))


def _is_fake(tensor: torch.Tensor) -> bool:
    return type(tensor).__name__ == "FakeTensor"
