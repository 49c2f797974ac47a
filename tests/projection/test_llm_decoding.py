"""Key-value caches, against those of live models; decoding steps, against closed forms."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from profiler.devices import find_device
from profiler.errors import PlanError
from profiler.projection.llm_decoding import DecodeStep, KVCache, decode_step
from profiler.util.generation_cache import cache_name

SMALL = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 50,
}  # fmt: skip


def cached_elements(model, tokens: int) -> int:
    """Return the elements of the key-value cache of a live transformers model after *tokens* tokens."""
    with torch.no_grad():
        output = model.eval()(input_ids=torch.zeros(1, tokens, dtype=torch.int64), use_cache=True)
    cache = getattr(output, cache_name(model))
    return sum(tensor.numel() for layer in cache.layers for tensor in (layer.keys, layer.values))


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_a_cache_of_grouped_heads_is_the_live_one(kv_heads):
    config = LlamaConfig(**SMALL, num_key_value_heads=kv_heads)
    assert KVCache.of_config(config).bytes_for(7, itemsize=1) == cached_elements(LlamaForCausalLM(config), 7)
    assert KVCache.of_config(config) == KVCache.of_heads(layers=3, kv_heads=kv_heads, head_dim=16)


@pytest.mark.parametrize("tokens", [3, 8, 20])
def test_a_sliding_window_stops_the_cache_from_growing(tokens):
    """A live cache keeps one token less than the window, since the next one brings its own."""
    config = MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=8)
    cache = KVCache.of_config(config)
    per_token = 3 * 2 * 2 * 16
    assert cache.bytes_for(tokens, itemsize=1) == per_token * min(tokens, 8)
    assert cached_elements(MistralForCausalLM(config), tokens) == per_token * min(tokens, 7)


def test_a_latent_is_shared_by_all_heads():
    class Config:
        num_hidden_layers, kv_lora_rank, qk_rope_head_dim = 61, 512, 64

    assert KVCache.of_config(Config()).bytes_for(1) == 61 * (512 + 64) * 2


@pytest.mark.parametrize("config", [SimpleNamespace(), SimpleNamespace(num_hidden_layers=4, hidden_size=64)])
def test_a_model_without_attention_keeps_nothing_to_count(config):
    with pytest.raises(PlanError, match="has no attention layers"):
        KVCache.of_config(config)


#: 10 GB of weights, a cache of 1 GB, 1 TFLOP a token; 100 TFLOP/s and 1 TB/s.
TOY = DecodeStep(10 * 10**9, 10**9, 10**12, 100e12, 1e12)


def test_a_step_reads_the_weights_once_and_each_cache():
    assert TOY.step_s(1) == pytest.approx(0.011)
    assert TOY.step_s(4) == pytest.approx(0.04), "4 TFLOP at 100 take longer than 14 GB at 1 TB/s"
    assert TOY.tokens_per_s(1) == pytest.approx(1 / 0.011)


def test_compute_and_memory_take_the_same_at_the_critical_batch():
    batch = TOY.critical_batch
    assert batch == pytest.approx(0.01 / (0.01 - 0.001))
    assert batch * TOY.ops / TOY.peak_ops_per_s == pytest.approx((TOY.weight_bytes + batch * TOY.cache_bytes) / 1e12)


def test_a_long_cache_leaves_no_critical_batch():
    assert DecodeStep(10**9, 10**10, 10**9, 100e12, 1e12).critical_batch == math.inf


def test_without_a_cache_the_critical_batch_is_the_ridge_over_the_operations_a_byte():
    """2 operations and 2 bytes a weight: the ridge itself, 295 on an H100 in bf16."""
    device = find_device("h100-sxm5-80gb")
    step = decode_step(device, "bf16", weight_bytes=16 * 10**9, cache_bytes=0, ops=16 * 10**9)
    assert step.critical_batch == pytest.approx(device.ridge_ops_per_byte("bf16"))


def test_a_batch_of_none_is_an_error():
    with pytest.raises(PlanError, match="batch of 0"):
        TOY.step_s(0)


def test_a_device_of_unknown_bandwidth_cannot_decode():
    with pytest.raises(PlanError, match="the bandwidth of hailo-8 is unknown"):
        decode_step(find_device("hailo-8"), "int8", weight_bytes=1, cache_bytes=0, ops=1)
