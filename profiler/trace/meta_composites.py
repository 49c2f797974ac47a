"""Operators that are one kernel on the CPU reach the dispatch mode whole on ``meta``, and not as their composition.

A composite operator without a derivative of its own is taken apart above every dispatch mode, where its device has no
kernel for it. The rest of these operators have a derivative, and `has_backend_kernel` leaves them whole.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPERATORS = ("mish_backward",)


@contextmanager
def whole_composites_on_meta() -> Iterator[None]:
    """Dispatch these operators whole on ``meta`` in the block; the dispatcher is changed for all threads."""
    library = torch.library.Library("aten", "IMPL")
    try:
        for operator in _OPERATORS:
            library.impl(operator, torch.library.fallthrough_kernel, "AutogradMeta")
        yield
    finally:
        library._destroy()
