"""Gradients that the mask leaves out: on ``meta``, batch norm allocates that of its input even so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKWARD = torch.ops.aten.native_batch_norm_backward.default


def _batch_norm_backward(*args: Any, **kwargs: Any) -> tuple[torch.Tensor | None, ...]:
    """Run the backward of a batch norm; return None in the place of a gradient that the mask leaves out."""
    gradients: tuple[torch.Tensor, ...] = _BACKWARD(*args, **kwargs)
    mask = kwargs["output_mask"] if "output_mask" in kwargs else args[-1]
    return tuple(gradient if wanted else None for gradient, wanted in zip(gradients, mask, strict=True))


#: What runs in the place of an operator.
MASKED_GRADIENTS: dict[Any, Callable[..., Any]] = {_BACKWARD: _batch_norm_backward}
