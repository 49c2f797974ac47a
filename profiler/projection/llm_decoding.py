"""Decoding of language models: the key-value cache, the time of a step, and the batch at which compute is the limit.

Prefill is one pass over the prompt, and is projected like any other pass. A decoding step reads every weight once for
the whole batch, and the key-value cache of each sequence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiler.errors import PlanError

if TYPE_CHECKING:
    from profiler.devices import Device


@dataclass(frozen=True, slots=True)
class KVCache:
    """The key-value cache of a stack of attention layers."""

    #: For each layer: elements cached per token, which are keys and values of every head, or a latent.
    elements: tuple[int, ...]
    #: For each layer: the largest number of cached tokens; None without a sliding window.
    windows: tuple[int | None, ...]

    @classmethod
    def of_heads(cls, layers: int, kv_heads: int, head_dim: int, window: int | None = None) -> KVCache:
        """Return the cache of multi-head, grouped-query or multi-query attention: ``2·H_kv·d`` elements per layer.

        Source: J. Ainslie et al., GQA (arXiv:2305.13245).
        """
        return cls((2 * kv_heads * head_dim,) * layers, (window,) * layers)

    @classmethod
    def of_latent(cls, layers: int, rank: int, rope_dim: int) -> KVCache:
        """Return the cache of multi-head latent attention: ``r + d_rope`` elements per layer, shared by all heads.

        Source: DeepSeek-V2 (arXiv:2405.04434), section 2.1.3.
        """
        return cls((rank + rope_dim,) * layers, (None,) * layers)

    @classmethod
    def of_config(cls, config: Any) -> KVCache:
        """Return the cache of a model from its transformers configuration.

        Grouped heads, sliding windows and latent attention are supported.

        Raises:
            PlanError: The configuration has no attention layers.
        """
        layers = getattr(config, "num_hidden_layers", 0)
        if rank := getattr(config, "kv_lora_rank", None):
            return cls.of_latent(layers, rank, config.qk_rope_head_dim)
        heads = getattr(config, "num_attention_heads", 0)
        if not layers or not heads:
            msg = f"{type(config).__name__} has no attention layers; a key-value cache needs them"
            raise PlanError(msg)
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls((2 * kv_heads * head_dim,) * layers, _layer_windows(config, layers))

    def bytes_for(self, tokens: int, itemsize: float = 2) -> int:
        """Return the bytes of one sequence of *tokens*, with *itemsize* bytes per element.

        Example:
            >>> KVCache.of_heads(layers=32, kv_heads=8, head_dim=128).bytes_for(1)
            131072
        """
        layers = zip(self.elements, self.windows, strict=True)
        return int(sum(n * (tokens if window is None else min(tokens, window)) for n, window in layers) * itemsize)


@dataclass(frozen=True, slots=True)
class DecodeStep:
    """One decoding step on a device, for any number of sequences in the batch."""

    weight_bytes: int
    #: Key-value cache of one sequence at its present length.
    cache_bytes: int
    #: Operations per token.
    ops: int
    peak_ops_per_s: float
    bandwidth_bytes_per_s: float

    def step_s(self, batch: int = 1) -> float:
        """Return a lower bound of one step: the larger of the compute time and the time to read weights and caches.

        Raises:
            PlanError: The batch is below 1.
        """
        if batch < 1:
            msg = f"cannot decode a batch of {batch}; write 1 or more"
            raise PlanError(msg)
        read_bytes = self.weight_bytes + batch * self.cache_bytes
        return max(batch * self.ops / self.peak_ops_per_s, read_bytes / self.bandwidth_bytes_per_s)

    def tokens_per_s(self, batch: int = 1) -> float:
        """Return an upper bound of the rate of all sequences together."""
        return batch / self.step_s(batch)

    @property
    def critical_batch(self) -> float:
        """The batch size from which compute is the limit; infinite if reading a cache takes longer than computing."""
        compute_s = self.ops / self.peak_ops_per_s
        cache_s = self.cache_bytes / self.bandwidth_bytes_per_s
        weights_s = self.weight_bytes / self.bandwidth_bytes_per_s
        return weights_s / (compute_s - cache_s) if compute_s > cache_s else math.inf


def decode_step(device: Device, precision: str, *, weight_bytes: int, cache_bytes: int, ops: int) -> DecodeStep:
    """Return the decoding step of a model on a device.

    Args:
        device: The device.
        precision: The precision of the arithmetic.
        weight_bytes: Bytes of weights that a step reads.
        cache_bytes: Bytes of the key-value cache of one sequence.
        ops: Operations per token.

    Raises:
        DeviceError: The device has no rate in the precision.
        PlanError: The bandwidth of the device is unknown.

    Example:
        >>> from profiler.devices import find_device
        >>> step = decode_step(find_device("l4"), "bf16", weight_bytes=16 * 10**9, cache_bytes=0, ops=16 * 10**9)
        >>> round(step.tokens_per_s(), 2), round(step.critical_batch)
        (18.75, 403)
    """
    bandwidth = device.bandwidth_bytes_per_s
    if bandwidth is None:
        msg = f"the bandwidth of {device.id} is unknown, and decoding depends on it; write it in a device file"
        raise PlanError(msg)
    return DecodeStep(weight_bytes, cache_bytes, ops, device.contraction_rate(precision), bandwidth)


def _layer_windows(config: Any, layers: int) -> tuple[int | None, ...]:
    """Return the sliding window of each layer; a configuration may disable windows, or restrict them to some layers."""
    window = getattr(config, "sliding_window", None)
    if window is None or getattr(config, "use_sliding_window", True) is False:
        return (None,) * layers
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * layers
    return tuple(window if "sliding" in kind else None for kind in kinds)
