"""Attention on packed sequences, compared with the sum of dense attention on each sequence."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch
import torch.nn.attention.varlen
from formulas.array_operations import entry_of, spec
from formulas.oracle import arithmetic

from profiler.values.records import TensorSpec

HEADS, GROUPS, WIDTH, DEPTH = 4, 2, 8, 6
#: Queries and keys of three sequences.
LENGTHS = [(5, 5), (3, 7), (0, 2)]
TOTAL = sum(q for q, _ in LENGTHS), sum(k for _, k in LENGTHS)
LONGEST = 7
PACKED = {
    "query": spec(TOTAL[0], HEADS, WIDTH),
    "key": spec(TOTAL[1], GROUPS, WIDTH),
    "value": spec(TOTAL[1], GROUPS, DEPTH),
}
#: Arguments of all operators, without masks, dropout or a KV cache.
DEFAULTS = {
    "seqused_k": None, "seqlen_k": None, "attn_bias": None, "bias": None, "dropout_p": 0.0, "is_causal": False,
    "window_size": None, "window_size_left": None, "window_size_right": None, "custom_mask_type": 0,
    "max_q": 5, "max_k": LONGEST, "max_seqlen_q": 5, "max_seqlen_k": LONGEST,
}  # fmt: skip


def _offsets(lengths, *, has_values=True):
    starts = tuple(accumulate(lengths, initial=0))
    return TensorSpec((len(starts),), "int32", len(starts), values=starts if has_values else None)


def _prefix(operator):
    if "efficient" in operator:
        return "cu_seqlens"
    return "cu_seq" if "varlen" in operator else "cum_seq"


def _packed(operator, *, has_values=True, **options):
    name = _prefix(operator)
    starts = {f"{name}_q": _offsets([q for q, _ in LENGTHS], has_values=has_values)}
    starts |= {f"{name}_k": _offsets([k for _, k in LENGTHS], has_values=has_values)}
    shapes = PACKED
    if "efficient" in operator:
        shapes = {key: spec(1, *value.shape) for key, value in PACKED.items()}
    return entry_of(f"{operator}.default", (), **shapes, **DEFAULTS | starts | options)


def _alone(**options):
    """Return the summed costs of dense attention on each sequence, with an explicit mask if there are *options*."""
    costs = []
    for queries, keys in LENGTHS:
        mask = _visible(queries, keys, **options)
        arguments = {
            "query": spec(1, HEADS, queries, WIDTH),
            "key": spec(1, GROUPS, keys, WIDTH),
            "value": spec(1, GROUPS, keys, DEPTH),
            "attn_bias": spec(*mask.shape)._replace(unmasked=int(mask.sum())) if options else None,
        }
        operator = "aten._scaled_dot_product_efficient_attention.default"
        costs.append(_numbers(entry_of(operator, (), **arguments, dropout_p=0.0, is_causal=False)))
    return [sum(column) for column in zip(*costs, strict=True)]


def _visible(queries, keys, *, before=None, after=None, from_the_end=True):
    """Return the Boolean mask of a causal mask or window, from its definition."""
    position = torch.arange(queries)[:, None] + (keys - queries if from_the_end else 0)
    key = torch.arange(keys)[None]
    mask = torch.ones(queries, keys, dtype=torch.bool)
    mask &= key >= position - before if before is not None else mask
    return mask & (key <= position + after) if after is not None else mask


def _numbers(cost):
    return [*arithmetic(cost), cost.masked_macs]


FORWARD = [
    "aten._flash_attention_forward", "aten._flash_attention_forward_no_dropout_inplace",
    "aten._efficient_attention_forward", "aten._cudnn_attention_forward", "torch_attn._varlen_attn",
]  # fmt: skip


@pytest.mark.parametrize("operator", FORWARD)
def test_packed_sequences_cost_what_they_cost_alone(operator):
    assert _numbers(_packed(operator)) == _alone()


@pytest.mark.parametrize(
    ("operator", "arguments", "window"),
    [
        ("aten._flash_attention_forward", {"is_causal": True}, {"after": 0}),
        ("aten._flash_attention_forward", {"window_size_left": 2, "window_size_right": 1}, {"before": 2, "after": 1}),
        ("aten._flash_attention_forward", {"window_size_left": 1, "window_size_right": -1}, {"before": 1}),
        ("torch_attn._varlen_attn", {"window_size": (-1, 0)}, {"after": 0}),
        ("torch_attn._varlen_attn", {"window_size": (2, 0), "is_causal": True}, {"before": 2, "after": 0}),
        ("aten._efficient_attention_forward", {"custom_mask_type": 1}, {"after": 0, "from_the_end": False}),
        ("aten._efficient_attention_forward", {"custom_mask_type": 2}, {"after": 0}),
        (
            "aten._efficient_attention_forward",
            {"custom_mask_type": 1, "window_size": 2},
            {"before": 1, "after": 0, "from_the_end": False},
        ),
        ("aten._cudnn_attention_forward", {"is_causal": True}, {"after": 0, "from_the_end": False}),
    ],
)
def test_packed_sequences_are_masked_each_for_itself(operator, arguments, window):
    assert _numbers(_packed(operator, **arguments)) == _alone(**window)


@pytest.mark.parametrize(
    "operator",
    ["aten._flash_attention", "aten._efficient_attention", "aten._cudnn_attention", "torch_attn._varlen_attn"],
)
def test_the_gradients_of_packed_sequences_take_five_products(operator):
    cost = _packed(f"{operator}_backward")
    assert cost.macs == sum(q * k for q, k in LENGTHS) * HEADS * (3 * WIDTH + 2 * DEPTH)
    # Scaling of queries and keys, three FLOPs per score, the row sums, and the sums of gradients of shared keys.
    per_score, per_row = 3, 2 * DEPTH - 1
    assert cost.other_flops == (
        2 * HEADS * sum(TOTAL) * WIDTH
        + HEADS * sum(q * k for q, k in LENGTHS) * per_score
        + HEADS * TOTAL[0] * per_row
        + (HEADS - GROUPS) * TOTAL[1] * (WIDTH + DEPTH)
    )


@pytest.mark.parametrize("operator", FORWARD)
def test_sequences_of_unknown_lengths_are_taken_to_be_the_longest(operator):
    cost = _packed(operator, has_values=False, is_causal=True, custom_mask_type=1)
    assert cost.macs == cost.masked_macs == TOTAL[0] * LONGEST * HEADS * (WIDTH + DEPTH)


def test_keys_in_a_cache_count_as_far_as_they_are_used():
    used = TensorSpec((3,), "int32", 3, values=(5, 4, 2))
    cost = _packed("torch_attn._varlen_attn", seqused_k=used, cu_seq_k=None)
    assert cost.macs == (5 * 5 + 3 * 4 + 0 * 2) * HEADS * (WIDTH + DEPTH)
    causal = _packed("aten._cudnn_attention_forward", seqused_k=used, is_causal=True)
    assert causal.masked_macs == (15 + (2 + 3 + 4)) * HEADS * (
        WIDTH + DEPTH
    )  # the last query is aligned with the last key


@pytest.mark.parametrize("causal", [False, True])
def test_heads_may_come_after_the_sequence(causal):
    query, key, value = spec(2, 6, HEADS, 8), spec(2, 6, GROUPS, 8), spec(2, 6, GROUPS, 8)
    starts = {"cum_seq_q": None, "cum_seq_k": None}
    cost = entry_of(
        "aten._flash_attention_forward.default", (), query=query, key=key, value=value,
        **DEFAULTS | starts | {"is_causal": causal},
    )  # fmt: skip
    heads_first = (spec(s.shape[0], s.shape[2], s.shape[1], s.shape[3]) for s in (query, key, value))
    dense = entry_of(
        "aten._scaled_dot_product_flash_attention.default", (),
        **dict(zip(("query", "key", "value"), heads_first, strict=True)), dropout_p=0.0, is_causal=causal,
    )  # fmt: skip
    assert _numbers(cost) == _numbers(dense)


def test_a_bias_of_known_values_masks_packed_scores_too():
    query = spec(2, 6, HEADS, 8)
    cost = entry_of(
        "aten._efficient_attention_forward.default", (), query=query, key=query, value=query,
        **DEFAULTS | {"cu_seqlens_q": None, "cu_seqlens_k": None, "bias": spec(2, 1, 6, 6)._replace(unmasked=50)},
    )  # fmt: skip
    assert cost.masked_macs == 50 * HEADS * 16
    assert cost.macs == 2 * HEADS * 36 * 16
