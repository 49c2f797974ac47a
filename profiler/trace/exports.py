"""Observe tensors whose memory is handed to code that is no operator: NumPy, DLPack, a kernel that takes an address.

``Tensor.numpy``, ``__dlpack__`` and ``data_ptr`` are no operators, so no dispatch mode sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from profiler.util.observed_methods import ObservedMethods

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_EXPORTS = ObservedMethods((torch.Tensor, name) for name in ("numpy", "data_ptr", "__dlpack__"))


def observe_exports(observer: Callable[[torch.Tensor], None]) -> AbstractContextManager[None]:
    """Call *observer* with each tensor whose memory is handed out inside the block, on any thread, before it is."""
    return _EXPORTS.observe(observer)
