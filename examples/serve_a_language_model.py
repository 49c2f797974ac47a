"""Weights, key-value cache and an upper bound of the tokens a second: can an L4 serve Llama 3.1 8B?"""

from profiler.devices import find_device
from profiler.projection.llm_decoding import KVCache, decode_step

PARAMS = 8_030_261_248
cache = KVCache.of_heads(layers=32, kv_heads=8, head_dim=128).bytes_for(8192)
weights = 2 * PARAMS  # bfloat16
print(f"weights {weights / 2**30:.1f} GiB, cache of one user at 8192 tokens {cache / 2**30:.1f} GiB")
step = decode_step(find_device("l4"), "bf16", weight_bytes=weights, cache_bytes=cache, ops=2 * PARAMS)
for users in (1, 4):
    total = step.tokens_per_s(users)
    print(f"{users} users: at most {total:.1f} tokens/s in all, {total / users:.1f} for each")
assert step.tokens_per_s(4) > step.tokens_per_s(1)
