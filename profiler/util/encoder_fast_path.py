"""The fast path of attention and encoder layers in eval mode: one fused operator for all that is in a layer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_fast_path() -> Iterator[None]:
    """Run attention and encoder layers in the block operator by operator, and module by module."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
