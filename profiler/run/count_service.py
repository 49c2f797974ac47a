"""Count a language model in service: one user's prefill, and a decoding step of all users."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import PlanError
from profiler.projection.serving import CountedService, Service
from profiler.run.forward import count
from profiler.run.generation import cache_tensors, count_generation
from profiler.run.meta_kernels import on_meta
from profiler.targets import build_with_inputs
from profiler.util.generation_cache import cache_name

if TYPE_CHECKING:
    from torch import nn

    from profiler.tally import Profile


def count_service(target: str, service: Service) -> CountedService:
    """Count the passes of a service on ``meta``.

    Args:
        target: A language model, such as ``hf:llama-3.1-8b``.
        service: The users, their context, and the tokens that are generated.

    Raises:
        PlanError: A number is below 1, or the model returns no cache.
        ProfilerError: The model cannot be built, or raised.
    """
    if min(service.users, service.context, service.output_tokens) < 1:
        msg = (
            f"cannot serve {service.users} users, {service.context} and {service.output_tokens} tokens; write 1 or more"
        )
        raise PlanError(msg)
    middle = service.context + service.output_tokens // 2
    step, elements = _count_step(target, service.users, middle)
    prefill = _count_prefill(target, service.context)
    return CountedService(service, prefill, step, elements / (service.users * middle))


def _count_step(target: str, users: int, tokens: int) -> tuple[Profile, int]:
    """Count a decoding step with a cache that holds *tokens* for each user; return the elements of the cache too.

    The cache has its full size before the step, as a server's does: the step writes one token's keys and values and
    moves no others. A model that takes no such cache appends to one that grows.
    """
    model, _, _ = build_with_inputs(target, [f"input_ids={users}x1"], device="meta")
    cache = _full_cache(model, users, tokens)
    if cache is None:
        generation = count_generation(target, users, tokens)
        return generation.step, generation.cache_elements
    last = torch.zeros(users, 1, dtype=torch.int64, device="meta")
    position = torch.full((users, 1), tokens - 1, dtype=torch.int64, device="meta")
    with torch.inference_mode(), on_meta():
        step = count(model, input_ids=last, position_ids=position, use_cache=True, **{cache_name(model): cache})
    return step, sum(tensor.numel() for tensor in cache_tensors(cache))


def _full_cache(model: nn.Module, users: int, tokens: int) -> Any:
    """Return a cache of full size on ``meta``; None if the model's configuration has no plain heads."""
    config: Any = getattr(model, "config", None)
    heads = getattr(config, "num_key_value_heads", None)
    if heads is None or getattr(config, "kv_lora_rank", None) or not _takes_positions(model):
        return None
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    from transformers import StaticCache  # noqa: PLC0415 - an extra; only language models of transformers come here

    cache: Any = StaticCache(config=config, max_cache_len=tokens)
    if not hasattr(cache, "early_initialization"):
        return None
    dtype = next(model.parameters()).dtype
    cache.early_initialization(batch_size=users, num_heads=heads, head_dim=width, dtype=dtype, device="meta")
    return cache


def _takes_positions(model: nn.Module) -> bool:
    return "position_ids" in inspect.signature(model.forward).parameters


def _count_prefill(target: str, context: int) -> Profile:
    """Count the pass over one prompt, with the logits of the last position alone where the model can."""
    with torch.inference_mode(), on_meta():
        model, args, kwargs = build_with_inputs(target, [f"input_ids=1x{context}"], device="meta")
        last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        return count(model, *args, **kwargs, **last)
