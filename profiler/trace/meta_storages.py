"""Operators whose result keeps a larger storage than its elements need; on ``meta`` torch allocates those alone.

A loss that is summed was allocated for every element, and a folded image as large as its patches.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

aten = torch.ops.aten


def _elements_of_losses(input: torch.Tensor, target: torch.Tensor, *_: Any, **__: Any) -> int:
    return prod(torch.broadcast_shapes(input.shape, target.shape))


def _elements_of_patches(self: torch.Tensor, *_: Any, **__: Any) -> int:
    return self.numel()


def _run(operator: Any, elements: Callable[..., int], *args: Any, **kwargs: Any) -> Any:
    """Run an operator; on ``meta`` give its result the storage that it has on any other device."""
    result = operator(*args, **kwargs)
    if not result.is_meta:
        return result
    size = elements(*args, **kwargs)
    if size <= result.numel():
        return result
    return torch.empty(size, dtype=result.dtype, device="meta").resize_(result.shape)


#: The number of elements of the storage, from the arguments.
#: Source: aten/src/ATen/native: BinaryOps.cpp and Loss.cpp (the losses), Col2Im.cpp (``empty_like`` of the patches).
_ELEMENTS: dict[Any, Callable[..., int]] = {
    aten.mse_loss.default: _elements_of_losses,
    aten.smooth_l1_loss.default: _elements_of_losses,
    aten.soft_margin_loss.default: _elements_of_losses,
    aten.binary_cross_entropy.default: _elements_of_losses,
    aten.col2im.default: _elements_of_patches,
}
#: What runs in the place of an operator.
LARGER_STORAGES: dict[Any, Callable[..., Any]] = {
    operator: partial(_run, operator, elements) for operator, elements in _ELEMENTS.items()
}
