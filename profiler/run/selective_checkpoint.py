"""Selective activation checkpointing: keep the results of attention and of every second matrix product.

Source: torchtitan, ``activation_checkpoint.mode = "selective"`` with ``selective_ac_option = "op"``:
torchtitan/parallelisms/parallelize_llama.py of December 2024.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

if TYPE_CHECKING:
    from torch._ops import OpOverload

#: Whether, and how, blocks run under activation checkpointing.
Checkpointing = bool | Literal["selective"]


def selective_contexts() -> Any:
    """Return the contexts of the forward pass of one block, and of its recomputation: ``checkpoint(context_fn=…)``."""
    products: Counter[bool] = Counter()

    def policy(context: Any, operator: OpOverload, *_: object, **__: object) -> CheckpointPolicy:
        name = str(operator.overloadpacket)
        if name == "aten.mm":
            products[context.is_recompute] += 1
        is_second = products[context.is_recompute] % 2 == 0
        return CheckpointPolicy.MUST_SAVE if _is_costly(name, is_second) else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)


def _is_costly(name: str, is_second: bool) -> bool:
    """Return whether the result of an operator is kept."""
    if name == "aten.mm":
        return not is_second
    return name.startswith("aten._scaled_dot_product") or name == "_c10d_functional.reduce_scatter_tensor"
