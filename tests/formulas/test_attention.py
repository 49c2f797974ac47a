"""Attention in one kernel, against the operators that it replaces, and masks against their own elements."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formulas.array_operations import Tally, entry, entry_of, maximum, spec
from formulas.oracle import arithmetic, ones, products, totals
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask
from torch.nn.attention.flex_attention import flex_attention as flex

import profiler
from profiler.formulas.attention_windows import visible_pairs
from profiler.formulas.families import attention
from profiler.formulas.families.attention import Scores

FLASH = "aten._scaled_dot_product_flash_attention_for_cpu"
BATCH, HEADS, QUERIES, KEYS, WIDTH = 2, 4, 6, 7, 8
QUERY = torch.ones(BATCH, HEADS, QUERIES, WIDTH)
KEY = torch.ones(BATCH, HEADS, KEYS, WIDTH)


def _two_products(query=QUERY, key=KEY, value=KEY):
    scores = torch.ones(*query.shape[:-1], key.shape[-2])
    shared = [t.repeat_interleave(query.shape[1] // t.shape[1], 1) for t in (key, value)]
    return products(lambda q, k: q @ k.mT, query, shared[0]) + products(torch.matmul, scores, shared[1])


def _masks():
    lower = torch.ones(QUERIES, KEYS, dtype=torch.bool).tril()
    padding = torch.ones(BATCH, 1, 1, KEYS, dtype=torch.bool)
    padding[0, ..., 5:] = False
    additive = torch.zeros(1, HEADS, QUERIES, KEYS).masked_fill(~lower, -torch.inf)
    lowest = torch.zeros(BATCH, 1, QUERIES, KEYS).masked_fill(~lower, torch.finfo(torch.float32).min)
    return {"Boolean": lower, "key padding": padding, "additive": additive, "lowest number": lowest}


@pytest.mark.parametrize("causal", [False, True])
def test_a_fused_kernel_costs_what_the_operators_cost_that_it_replaces(causal):
    run = lambda: F.scaled_dot_product_attention(QUERY, KEY, KEY, is_causal=causal)
    fused = totals(run)
    with sdpa_kernel(SDPBackend.MATH):
        assert arithmetic(fused) == arithmetic(totals(run))
    assert entry(FLASH, run).macs == _two_products()


@pytest.mark.parametrize("kind", _masks())
def test_a_mask_costs_what_it_costs_to_add_it(kind):
    mask = _masks()[kind]
    run = lambda: F.scaled_dot_product_attention(QUERY, KEY, KEY, attn_mask=mask)
    fused = arithmetic(totals(run))
    with sdpa_kernel(SDPBackend.MATH):
        assert fused == arithmetic(totals(run))


def test_dropout_costs_three_operations_for_each_probability():
    arguments = {"query": spec(2, 4, 6, 8), "key": spec(2, 4, 7, 8), "value": spec(2, 4, 7, 8), "is_causal": False}
    operator, results = "aten._scaled_dot_product_flash_attention.default", (spec(2, 4, 6, 8),)
    without, with_dropout = (entry_of(operator, results, **arguments, dropout_p=p) for p in (0.0, None))
    assert with_dropout.other_flops - without.other_flops == 3 * BATCH * HEADS * QUERIES * KEYS
    with sdpa_kernel(SDPBackend.MATH):
        run = lambda: F.scaled_dot_product_attention(QUERY, KEY, KEY, dropout_p=0.3)
        assert totals(run).other_flops == with_dropout.other_flops


@pytest.mark.parametrize("kind", _masks())
def test_masked_macs_are_those_of_the_scores_that_a_mask_lets_through(kind):
    mask = _masks()[kind]
    scores = torch.zeros(BATCH, HEADS, QUERIES, KEYS)
    probabilities = (scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask).exp()
    cost = entry(FLASH, lambda: F.scaled_dot_product_attention(QUERY, KEY, KEY, attn_mask=mask))
    assert cost.masked_macs == int(probabilities.count_nonzero()) * 2 * WIDTH < cost.macs == _two_products()


@pytest.mark.parametrize("expanded", [False, True])
def test_a_mask_that_is_expanded_stands_for_all_that_it_covers(expanded):
    mask = torch.ones(BATCH, 1, QUERIES, KEYS, dtype=torch.bool).tril()
    mask = mask.expand(-1, HEADS, -1, -1) if expanded else mask
    cost = entry(FLASH, lambda: F.scaled_dot_product_attention(QUERY, KEY, KEY, attn_mask=mask))
    assert cost.masked_macs * mask[0, 0].numel() == cost.macs * int(mask[0, 0].sum())


def test_a_mask_whose_values_are_not_there_leaves_the_dense_count():
    shapes = {"query": spec(2, 4, 6, 8), "key": spec(2, 4, 7, 8), "value": spec(2, 4, 7, 8), "attn_mask": spec(6, 7)}
    cost = entry_of(f"{FLASH}.default", (spec(2, 4, 6, 8),), **shapes, dropout_p=0.0, is_causal=False)
    assert cost.masked_macs == cost.macs


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 7), (7, 3), (1, 4), (4, 1)])
def test_a_causal_query_sees_the_keys_up_to_its_own_place(queries, keys):
    q, k = torch.ones(1, 2, queries, 4), torch.ones(1, 2, keys, 4)
    cost = entry(FLASH, lambda: F.scaled_dot_product_attention(q, k, k, is_causal=True))
    assert cost.masked_macs == 2 * int(torch.ones(queries, keys).tril().sum()) * (4 + 4)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_heads_that_share_keys_multiply_as_many(groups):
    k = torch.ones(BATCH, groups, KEYS, WIDTH)
    run = lambda: F.scaled_dot_product_attention(QUERY, k, k, enable_gqa=True)
    fused = totals(run)
    assert fused.macs == _two_products(key=k, value=k)
    with sdpa_kernel(SDPBackend.MATH):
        assert arithmetic(fused) == arithmetic(totals(run))


def test_values_may_be_of_another_width():
    value = torch.ones(BATCH, HEADS, KEYS, 5)
    assert totals(F.scaled_dot_product_attention, QUERY, KEY, value).macs == _two_products(value=value)
    shapes = {"query": spec(2, 4, 6, 8), "key": spec(2, 4, 7, 8), "value": spec(2, 4, 7, 5)}
    cost = entry_of(
        "aten._scaled_dot_product_flash_attention.default", (spec(2, 4, 6, 5),),
        **shapes, dropout_p=0.0, is_causal=False,
    )  # fmt: skip
    assert cost.macs == _two_products(value=value)


#: Kernels of other devices on ``(B, H, L, E)``, and what they call the mask.
DENSE = {
    "_scaled_dot_product_flash_attention": None,
    "_scaled_dot_product_efficient_attention": "attn_bias",
    "_scaled_dot_product_cudnn_attention": "attn_bias",
    "_scaled_dot_product_fused_attention_overrideable": "attn_bias",
    "_scaled_dot_product_attention_math_for_mps": "attn_mask",
}


def _on(*shape, **arguments):
    return spec(*shape)._replace(**arguments)


@pytest.mark.parametrize("operator", DENSE)
@pytest.mark.parametrize("causal", [False, True])
def test_the_kernels_of_other_devices_cost_what_the_cpus_does(operator, causal):
    shapes = {"query": spec(2, 4, 6, 8), "key": spec(2, 4, 7, 8), "value": spec(2, 4, 7, 8)}
    arguments = shapes | {"dropout_p": 0.0, "is_causal": causal} | ({DENSE[operator]: None} if DENSE[operator] else {})
    there = entry_of(f"aten.{operator}.default", (spec(2, 4, 6, 8),), **arguments)
    here = entry(FLASH, lambda: F.scaled_dot_product_attention(QUERY, KEY, KEY, is_causal=causal))
    assert arithmetic(there) == arithmetic(here)
    assert there.masked_macs == here.masked_macs


@pytest.mark.parametrize("operator", [name for name, mask in DENSE.items() if mask])
def test_the_masks_of_other_devices_are_read(operator):
    mask = {DENSE[operator]: _on(2, 1, 6, 7, unmasked=40)}
    shapes = {"query": spec(2, 4, 6, 8), "key": spec(2, 4, 7, 8), "value": spec(2, 4, 7, 8)}
    cost = entry_of(f"aten.{operator}.default", (spec(2, 4, 6, 8),), **shapes, **mask, dropout_p=0.0, is_causal=False)
    assert cost.masked_macs == 40 * HEADS * 2 * WIDTH


GRADIENTS = ["_scaled_dot_product_flash_attention_for_cpu_backward"] + [
    f"{name}_backward" for name in DENSE if "mps" not in name
]


@pytest.mark.parametrize("operator", GRADIENTS)
def test_the_gradients_take_five_products(operator):
    query, key, value = (ones(BATCH, HEADS, n, w) for n, w in ((QUERIES, 8), (KEYS, 8), (KEYS, 5)))
    grad, scores = ones(BATCH, HEADS, QUERIES, 5), ones(BATCH, HEADS, QUERIES, KEYS)
    five = [
        products(lambda q, k: q @ k.mT, query, key),
        products(lambda p, g: p.mT @ g, scores, grad),
        products(lambda g, v: g @ v.mT, grad, value),
        products(torch.matmul, scores, key),
        products(lambda s, q: s.mT @ q, scores, query),
    ]
    cost = entry_of(
        f"aten.{operator}.default", (), grad_out=spec(*grad.shape),
        query=spec(*query.shape), key=spec(*key.shape), value=spec(*value.shape),
        attn_mask=None, attn_bias=None, dropout_p=0.0, is_causal=True,
    )  # fmt: skip
    assert cost.macs == sum(five)
    # Every product is over the scores, so that a mask leaves as large a share of all.
    assert cost.masked_macs * scores[0, 0].numel() == cost.macs * int(scores[0, 0].tril().sum())


def test_the_backward_of_the_cpu_is_counted_with_its_mask():
    mask = torch.ones(QUERIES, KEYS, dtype=torch.bool).tril()
    query = QUERY.clone().requires_grad_()
    run = lambda: F.scaled_dot_product_attention(query, KEY, KEY, attn_mask=mask).sum().backward()
    cost = entry(f"{FLASH}_backward", run)
    assert cost.record.phase == "backward"
    assert cost.macs == BATCH * HEADS * QUERIES * KEYS * 5 * WIDTH
    assert cost.masked_macs * mask.numel() == cost.macs * int(mask.sum())


L, S, E, V = 3, 4, 2, 5


def _numbers(tally):
    return [tally.array(torch.rand(shape)) for shape in ((L, E), (S, E), (S, V), (L, V))]


def _scores(tally, q, k, masked):
    return q @ k.T + tally.zeros(L, S) if masked else q @ k.T


@pytest.mark.parametrize("masked", [False, True])
def test_the_forward_arithmetic_is_that_of_the_definition(masked):
    tally = Tally()
    q, k, v, _ = _numbers(tally)
    scores = _scores(tally, q * 0.5, k * 0.5, masked)
    assert not (scores == -torch.inf).any()  # a row is looked at for being masked as a whole,
    looking = L * S - L  # which takes so many steps to join
    exponents = np.exp(scores - maximum.reduce(scores, axis=1, keepdims=True))
    assert (exponents / exponents.sum(axis=1, keepdims=True) @ v).shape == (L, V)
    # Of the K products of a sum the first is not added to anything: a product of matrices has one add less a result.
    first_products = L * S + L * V
    cost = attention.forward(Scores(((L, S),), 1), E, V, mask=masked, dropout=False)
    assert tally.flops + first_products + looking == 2 * cost.macs + cost.other_flops
    assert tally.transcendentals == cost.transcendentals


@pytest.mark.parametrize("masked", [False, True])
def test_the_backward_arithmetic_is_that_of_the_definition(masked):
    tally = Tally()
    q, k, v, grad = _numbers(tally)
    out, logsumexp = tally.array(torch.rand(L, V)), tally.array(torch.rand(L, 1))
    q, k = q * 0.5, k * 0.5
    p = np.exp(_scores(tally, q, k, masked) - logsumexp)
    row_sums = (grad * out).sum(axis=1, keepdims=True)
    of_scores = p * (grad @ v.T - row_sums)
    gradients = of_scores @ k * 0.5, of_scores.T @ q * 0.5, p.T @ grad
    first_products = 2 * L * S + sum(g.size for g in gradients)
    cost = attention.backward(Scores(((L, S),), 1), E, V, mask=masked, dropout=False, shared=0)
    assert tally.flops + first_products == 2 * cost.macs + cost.other_flops
    assert tally.transcendentals == cost.transcendentals


def test_gradients_of_shared_keys_are_added_up():
    arguments = {"grad_out": spec(2, 4, 6, 5), "query": spec(2, 4, 6, 8), "attn_mask": None, "dropout_p": 0.0}
    shared, own = (
        entry_of(
            f"{FLASH}_backward.default", (), **arguments, key=spec(2, g, 7, 8), value=spec(2, g, 7, 5), is_causal=False
        )
        for g in (1, 4)
    )
    assert shared.macs == own.macs
    assert shared.other_flops - own.other_flops == 2 * (4 - 1) * 7 * (8 + 5)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_sequences_attend_each_to_itself(layout):
    lengths = (5, 3, 1)
    nested = torch.nested.nested_tensor([torch.ones(n, HEADS, WIDTH) for n in lengths], layout=layout)
    nested = nested.transpose(1, 2) if layout is torch.jagged else nested.transpose(1, 2).contiguous()
    alone = [torch.ones(1, HEADS, n, WIDTH) for n in lengths]
    expected = [totals(F.scaled_dot_product_attention, x, x, x) for x in alone]
    cost = totals(F.scaled_dot_product_attention, nested, nested, nested)
    assert cost.macs == sum(each.macs for each in expected)
    assert cost.transcendentals == sum(each.transcendentals for each in expected)


@given(*[st.integers(0, 9)] * 2, st.integers(-4, 9), *[st.none() | st.integers(0, 9)] * 2)
def test_a_window_leaves_as_many_pairs_as_there_are(queries, keys, offset, before, after):
    pairs = [(i + offset, j) for i in range(queries) for j in range(keys)]
    visible = [(p, j) for p, j in pairs if (before is None or j >= p - before) and (after is None or j <= p + after)]
    assert visible_pairs(queries, keys, offset, before, after) == len(visible)


def _flex(query, key, value, **options):
    return lambda: flex(query, key, value, **options)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("causal", [False, True])
def test_flex_attention_counts_its_products_once_and_knows_its_mask(causal):
    query, key, value = torch.ones(2, 4, 128, 16), torch.ones(2, 2, 128, 16), torch.ones(2, 2, 128, 24)
    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, 128, 128, device="cpu") if causal else None
    cost = entry("higher_order.flex_attention", _flex(query, key, value, block_mask=mask, enable_gqa=True))
    everything = totals(_flex(query, key, value, block_mask=mask, enable_gqa=True))
    assert cost.macs == everything.macs == 2 * 4 * 128 * 128 * (16 + 24)
    unmasked = 128 * 129 // 2 if causal else 128 * 128
    assert cost.masked_macs == everything.masked_macs == 2 * 4 * unmasked * (16 + 24)
    # Queries and keys, the scores back, and values, which heads that share them have each their own copy of.
    assert cost.bytes_read == 4 * 2 * 4 * 128 * (16 + 16 + 128 + 24)
    assert cost.bytes_written == 4 * 2 * 4 * 128 * (128 + 24)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_shows_what_the_score_function_does():
    query = torch.ones(1, 2, 128, 16)
    with profiler.profile() as p:
        flex(query, query, query, score_mod=lambda score, b, h, i, j: torch.tanh(score))
    tanh = next(row for row in p.operators if row.operator == "aten.tanh")
    assert tanh.totals.transcendentals == 2 * 128 * 128
    assert p.is_complete


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_counts_the_products_of_the_score_function_too():
    query, table = torch.ones(1, 2, 128, 16), torch.ones(3, 5)
    plain, with_product = (
        totals(_flex(query, query, query, score_mod=mod))
        for mod in (None, lambda score, b, h, i, j: score * (table @ table.T).sum())
    )
    assert with_product.macs - plain.macs == 3 * 5 * 3


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_in_half_precision_computes_its_scores_in_single():
    query = torch.ones(1, 2, 128, 16, dtype=torch.bfloat16)
    cost = entry("higher_order.flex_attention", _flex(query, query, query))
    assert cost.bytes_read == 4 * 2 * 128 * (16 + 16) + 2 * 2 * 128 * (128 + 16)
    assert cost.bytes_written == 4 * 2 * 128 * 128 + 2 * 2 * 128 * 16
