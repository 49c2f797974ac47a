"""The fast paths of transformers against the operators that they are made of, and against the slow path."""

from __future__ import annotations

import pytest
import torch
import torchvision
from formulas.array_operations import entry
from formulas.oracle import arithmetic, totals
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

import profiler

BATCH, LENGTH, WIDTH, HEADS, HIDDEN = 3, 5, 8, 2, 16
X = torch.rand(BATCH, LENGTH, WIDTH)
ATTENTION, LAYER = "aten._native_multi_head_attention", "aten._transformer_encoder_layer_fwd"
SCORES = BATCH * HEADS * LENGTH * LENGTH
PADDING = torch.tensor([[False] * 3 + [True] * 2, [False] * 5, [False] * 4 + [True]])
TOKENS = (3, 5, 4)


def _attention(**options):
    return nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **options).eval()


def _layer(**options):
    return nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, batch_first=True, **options).eval()


def _fast(operator, run):
    with torch.no_grad():
        return entry(operator, run)


def _attention_by_hand(module, x, *, need_weights):
    """Compute what the kernel computes, in its order, one operator after the other."""
    heads = lambda t: t.unflatten(-1, (HEADS, -1)).transpose(1, 2)
    q, k, v = (x @ module.in_proj_weight.T + module.in_proj_bias).chunk(3, -1)
    weights = torch.softmax(heads(q * (WIDTH // HEADS) ** -0.5) @ heads(k).mT, -1)
    out = module.out_proj((weights @ heads(v)).transpose(1, 2).flatten(2))
    return out, weights.sum(1) / HEADS if need_weights else None


def _layer_by_hand(layer, x):
    attend = lambda x: _attention_by_hand(layer.self_attn, x, need_weights=False)[0]
    feed = lambda x: layer.linear2(layer.activation(layer.linear1(x)))
    if layer.norm_first:
        x = x + attend(layer.norm1(x))
        return x + feed(layer.norm2(x))
    x = layer.norm1(x + attend(x))
    return layer.norm2(x + feed(x))


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_costs_what_the_operators_cost_that_it_is_made_of(need_weights):
    module = _attention()
    by_hand = lambda: _attention_by_hand(module, X, need_weights=need_weights)
    fast = lambda: module(X, X, X, need_weights=need_weights)
    with torch.no_grad():
        for ours, theirs in zip(by_hand(), fast(), strict=True):
            assert ours is theirs is None or torch.allclose(ours, theirs, atol=1e-6)
        assert arithmetic(_fast(ATTENTION, fast)) == arithmetic(totals(by_hand))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_an_encoder_layer_costs_what_the_operators_cost_that_it_is_made_of(norm_first, activation):
    layer = _layer(norm_first=norm_first, activation=activation)
    with torch.no_grad():
        torch.testing.assert_close(layer(X), _layer_by_hand(layer, X), atol=1e-5, rtol=1e-4)
        assert arithmetic(_fast(LAYER, lambda: layer(X))) == arithmetic(totals(_layer_by_hand, layer, X))


@pytest.mark.parametrize("need_weights", [True, False])
def test_the_fast_path_multiplies_as_much_as_the_slow_path(need_weights):
    module = _attention()
    x = X.clone().requires_grad_()
    slow = totals(lambda x: module(x, x, x, need_weights=need_weights), x)
    assert _fast(ATTENTION, lambda: module(X, X, X, need_weights=need_weights)).macs == slow.macs


def _masks():
    square = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    return {
        "of scores": ({"attn_mask": square}, ~square),
        "of keys": ({"key_padding_mask": PADDING}, ~PADDING[:, None, None]),
        "of both": ({"attn_mask": square, "key_padding_mask": PADDING}, ~(square | PADDING[:, None, None])),
    }


@pytest.mark.parametrize("kind", _masks())
def test_a_mask_applies_to_the_attention_and_not_to_the_projections(kind):
    options, visible = _masks()[kind]
    cost = _fast(ATTENTION, lambda: _attention()(X, X, X, **options))
    unmasked = int(visible.expand(BATCH, HEADS, LENGTH, LENGTH).sum())
    assert cost.macs - cost.masked_macs == (SCORES - unmasked) * 2 * WIDTH // HEADS


def test_an_encoder_layer_knows_its_mask():
    cost = _fast(LAYER, lambda: _layer()(X, src_mask=nn.Transformer.generate_square_subsequent_mask(LENGTH)))
    unmasked = BATCH * HEADS * LENGTH * (LENGTH + 1) // 2
    assert cost.macs - cost.masked_macs == (SCORES - unmasked) * 2 * WIDTH // HEADS


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_padding_that_is_dropped_is_not_projected_but_attended_to():
    encoder = nn.TransformerEncoder(_layer(), 1).eval()
    with torch.no_grad():
        cost = entry(LAYER, lambda: encoder(X, src_key_padding_mask=PADDING))
    attention = SCORES * 2 * WIDTH // HEADS
    assert cost.macs == sum(TOKENS) * (4 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN) + attention
    real = HEADS * sum(n * n for n in TOKENS)
    assert cost.macs - cost.masked_macs == (SCORES - real) * 2 * WIDTH // HEADS
    # Of the padded tokens: three biases, and queries scaled. Of those that are there, the rest.
    padded, tokens = BATCH * LENGTH * WIDTH, sum(TOKENS)
    norm = totals(F.layer_norm, torch.rand(tokens, WIDTH), (WIDTH,), torch.ones(WIDTH), torch.ones(WIDTH))
    rows = [torch.rand(HEADS, n, n) for n in TOKENS]
    softmax = sum(totals(lambda x: torch.softmax(x, -1), x).other_flops for x in rows)
    rest = tokens * (4 * WIDTH + 2 * HIDDEN)  # two sums, two biases; a bias and ReLU of what is hidden
    assert cost.other_flops == 4 * padded + softmax + rest + 2 * norm.other_flops
    assert cost.transcendentals == real + 2 * norm.transcendentals


def test_vit_b_16_takes_the_fast_path_and_as_many_macs_as_the_slow_one():
    model = torchvision.models.vit_b_16().eval()
    fast = profiler.count(model, torch.zeros(1, 3, 224, 224))
    assert any(row.operator == ATTENTION for row in fast.operators)
    assert fast.is_complete
    # Patches, and in 12 layers of 197 tokens the projections, two products of attention, and the feed-forward layer.
    patches, tokens, width = 196, 197, 768
    layer = tokens * 12 * width * width + 2 * tokens * tokens * width
    assert fast.totals.macs == patches * width * 3 * 16 * 16 + 12 * layer + width * 1000 == 17_563_828_224
    slow = profiler.count(model.to("meta"), torch.zeros(1, 3, 224, 224, device="meta"))
    assert fast.totals.macs == slow.totals.macs
