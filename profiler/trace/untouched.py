"""A run that leaves no trace in the model: what a forward pass may change is put back."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Put buffers, such as BatchNorm's statistics, and the random state back afterwards."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers() if not buffer.is_meta]
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(enabled=True))
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in kept:
                    buffer.copy_(value)
