"""Language models: the cache of keys and values, decoding a token at a time, and the batch at which that is compute.

Prefill is one pass over the prompt, and projected like any other. A decoding step reads every weight once for the whole
batch, and the cache once for each sequence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiler.errors import PlanError

if TYPE_CHECKING:
    from profiler.devices import Device


@dataclass(frozen=True, slots=True)
class Cache:
    """What a layer stack keeps of each token that it has read."""

    #: Elements that each layer keeps of a token: keys and values of every head, or a latent.
    elements: tuple[int, ...]
    #: How many tokens each layer keeps; None is all.
    windows: tuple[int | None, ...]

    @classmethod
    def of_heads(cls, layers: int, kv_heads: int, head_dim: int, window: int | None = None) -> Cache:
        """Keep keys and values: ``2·H_kv·d`` elements a layer; with fewer heads than queries, that is GQA or MQA.

        Source: J. Ainslie et al., GQA (arXiv:2305.13245).
        """
        return cls((2 * kv_heads * head_dim,) * layers, (window,) * layers)

    @classmethod
    def of_latent(cls, layers: int, rank: int, rope_dim: int) -> Cache:
        """Keep one latent and one rotary key for all heads: ``r + d_rope`` elements a layer.

        Source: DeepSeek-V2 (arXiv:2405.04434), section 2.1.3.
        """
        return cls((rank + rope_dim,) * layers, (None,) * layers)

    @classmethod
    def of_config(cls, config: Any) -> Cache:
        """Read a configuration of transformers: grouped heads, sliding windows, latent attention.

        Raises:
            PlanError: It has no attention layers that keep anything.
        """
        layers = getattr(config, "num_hidden_layers", 0)
        if rank := getattr(config, "kv_lora_rank", None):
            return cls.of_latent(layers, rank, config.qk_rope_head_dim)
        heads = getattr(config, "num_attention_heads", 0)
        if not layers or not heads:
            msg = f"{type(config).__name__} names no attention layers; a cache of keys and values needs them"
            raise PlanError(msg)
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls((2 * kv_heads * head_dim,) * layers, _windows(config, layers))

    def bytes_for(self, tokens: int, itemsize: float = 2) -> int:
        """Count the bytes of one sequence of *tokens*.

        Example:
            >>> Cache.of_heads(layers=32, kv_heads=8, head_dim=128).bytes_for(1)
            131072
        """
        kept = zip(self.elements, self.windows, strict=True)
        return int(sum(n * (tokens if window is None else min(tokens, window)) for n, window in kept) * itemsize)


@dataclass(frozen=True, slots=True)
class Decoding:
    """A decoding step on a device, by the sequences that share it."""

    weight_bytes: int
    #: Of one sequence at its length.
    cache_bytes: int
    #: Operations of one token.
    ops: int
    peak_ops_per_s: float
    bandwidth_bytes_per_s: float

    def step_s(self, batch: int = 1) -> float:
        """Bound one step: the larger of compute and of reading weights and caches."""
        if batch < 1:
            msg = f"a batch of {batch} is no batch; write 1 or more"
            raise PlanError(msg)
        moved = self.weight_bytes + batch * self.cache_bytes
        return max(batch * self.ops / self.peak_ops_per_s, moved / self.bandwidth_bytes_per_s)

    def tokens_per_s(self, batch: int = 1) -> float:
        """Bound the rate of all sequences together."""
        return batch / self.step_s(batch)

    @property
    def critical_batch(self) -> float:
        """The batch from which compute is the limit; infinite where reading a cache outlasts computing with it."""
        compute = self.ops / self.peak_ops_per_s
        cache = self.cache_bytes / self.bandwidth_bytes_per_s
        weights = self.weight_bytes / self.bandwidth_bytes_per_s
        return weights / (compute - cache) if compute > cache else math.inf


def decoding(device: Device, precision: str, *, weight_bytes: int, cache_bytes: int, ops: int) -> Decoding:
    """Put a decoding step on a device.

    Raises:
        DeviceError: The device lacks the precision.
        PlanError: Its bandwidth is not known.
    """
    bandwidth = device.bandwidth_bytes_per_s
    if bandwidth is None:
        msg = f"the bandwidth of {device.id} is not known, and decoding is a matter of bandwidth; give it in a file"
        raise PlanError(msg)
    return Decoding(weight_bytes, cache_bytes, ops, device.peak(precision), bandwidth)


def _windows(config: Any, layers: int) -> tuple[int | None, ...]:
    """Read the window of each layer; a configuration may switch windows off, or name the layers that have one."""
    window = getattr(config, "sliding_window", None)
    if window is None or getattr(config, "use_sliding_window", True) is False:
        return (None,) * layers
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * layers
    return tuple(window if "sliding" in kind else None for kind in kinds)
