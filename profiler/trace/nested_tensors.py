"""The tensors in arguments and results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def tensors_in(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested lists, tuples, sets and mappings."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))
    elif isinstance(values, (list, tuple, set)):
        for value in values:
            yield from tensors_in(value)
