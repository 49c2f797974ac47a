"""Attention masks that are learned: with gradients enabled, their attention does not run as one operator.

No fused kernel has a gradient for its mask, so torch takes the products and the softmax instead. Whether a mask has one
can only be seen where gradients are on, and only a model whose masks are of numbers is run for it once more.
Source: check_attn_mask in aten/src/ATen/native/transformers/sdp_utils_cpp.cpp of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from profiler.trace.module_stack import ModuleStack
from profiler.trace.preserve_state import preserve_buffers_and_rng
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from profiler.values.records import OpRecord

_NAME = "scaled_dot_product_attention"
_MASK = 3


def has_float_mask(records: Iterable[OpRecord]) -> bool:
    """Say whether an attention among *records* has a mask that is added to its scores."""
    masks = (dict(record.arguments).get("attn_mask") for record in records if _NAME in record.operator)
    return any(isinstance(mask, TensorSpec) and mask.is_floating for mask in masks)


def learned_masks(model: nn.Module, run: Callable[[], object]) -> frozenset[str]:
    """Give the paths of the modules that pass a learned mask to attention during *run*, which calls *model*."""
    scopes = ModuleStack(model, lambda *_: None)
    found: set[str] = set()

    class Watcher(TorchFunctionMode):
        """Sees the public functions of torch."""

        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            """Run the function, and note the module if it is attention with a learned mask."""
            kwargs = kwargs or {}
            if getattr(func, "__name__", "") == _NAME:
                mask = args[_MASK] if len(args) > _MASK else kwargs.get("attn_mask")
                if mask is not None and mask.requires_grad:
                    found.add(scopes.current)
            return func(*args, **kwargs)

    scopes.attach()
    try:
        with preserve_buffers_and_rng(model), torch.enable_grad(), Watcher():
            run()
    finally:
        scopes.detach()
    return frozenset(found)
