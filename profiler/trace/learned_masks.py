"""Find the modules whose attention mask is learned: with gradients enabled, their attention runs as several operators.

No fused kernel computes a gradient for its mask, so torch runs the two products and the softmax instead. Whether a mask
requires a gradient can only be seen with gradients enabled, which takes another run of the model. Only models with a
floating-point mask need it.
Source: check_attn_mask in aten/src/ATen/native/transformers/sdp_utils_cpp.cpp of torch.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from profiler.trace.module_stack import ModuleStack
from profiler.trace.preserve_state import run_preserving
from profiler.util.interrupts import uninterrupted
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from profiler.values.records import OpRecord

_NAME = "scaled_dot_product_attention"
_MASK_POSITION = 3


def has_float_mask(records: Iterable[OpRecord]) -> bool:
    """Return whether an attention call among *records* has a mask that is added to its scores."""
    masks = (dict(record.arguments).get("attn_mask") for record in records if _NAME in record.operator)
    return any(isinstance(mask, TensorSpec) and mask.is_floating for mask in masks)


def learned_masks(model: nn.Module, run: Callable[[], object]) -> frozenset[str]:
    """Return the paths of the modules that pass a learned mask to attention during *run*, which calls *model*."""
    modules = ModuleStack(model)
    paths: set[str] = set()

    class LearnedMaskMode(TorchFunctionMode):
        """Intercepts the public functions of torch."""

        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            """Run the function; record the running module if this is attention with a learned mask."""
            kwargs = kwargs or {}
            if getattr(func, "__name__", "") == _NAME:
                mask = args[_MASK_POSITION] if len(args) > _MASK_POSITION else kwargs.get("attn_mask")
                if mask is not None and mask.requires_grad:
                    paths.add(modules.current)
            return func(*args, **kwargs)

    with uninterrupted(), ExitStack() as stack:
        stack.callback(modules.detach)
        modules.attach()
        with torch.enable_grad(), LearnedMaskMode():
            run_preserving(model, run)
    return frozenset(paths)
