"""Count text generation with a language model: the prefill of the prompt, and one decoding step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from profiler.errors import PlanError
from profiler.run.forward import count
from profiler.run.meta_kernels import on_meta
from profiler.targets import build_with_inputs
from profiler.util.generation_cache import cache_name

if TYPE_CHECKING:
    from profiler.tally import Profile


class Generation(NamedTuple):
    """The profiles of prefill and decoding step, and the size of the key-value cache between them."""

    prefill: Profile
    step: Profile
    #: Elements of the keys and values of all layers after the prompt.
    cache_elements: int


def count_generation(target: str, batch: int, prompt: int) -> Generation:
    """Count the prefill of *prompt* tokens and one decoding step that reads its key-value cache, on ``meta``.

    Args:
        target: A language model, such as ``hf:llama-7b``.
        batch: Number of sequences.
        prompt: Tokens of each sequence's prompt.

    Raises:
        PlanError: The model returns no cache that its next step could take.
        ProfilerError: The model cannot be built, or raised.
    """
    with torch.inference_mode(), on_meta():
        model, args, kwargs = build_with_inputs(target, [f"input_ids={batch}x{prompt}"], device="meta")
        name = cache_name(model)
        prefill = count(model, *args, **kwargs)
        cache = getattr(model(*args, **kwargs, use_cache=True), name, None)
        if cache is None:
            msg = f"{target} returns no {name}; a stage with tokens_per_s needs a language model"
            raise PlanError(msg)
        last_token = torch.zeros(batch, 1, dtype=torch.int64, device="meta")
        elements = sum(tensor.numel() for tensor in cache_tensors(cache))  # before the step appends to the cache
        step = count(model, input_ids=last_token, use_cache=True, **{name: cache})
    return Generation(prefill, step, elements)


def cache_tensors(cache: Any) -> list[torch.Tensor]:
    """List the keys and values of all layers of a transformers cache."""
    values = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    return [value for value in values if isinstance(value, torch.Tensor)]
