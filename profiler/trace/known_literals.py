"""Tensors on ``meta`` that are made of numbers in Python, which no dispatch mode sees."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch.overrides import TorchFunctionMode


class KeepsLiterals(Protocol):
    """Keeps the numbers of which tensors are made."""

    def store_literal(self, tensor: torch.Tensor, numbers: Any) -> None:
        """Keep the numbers of which a tensor was made."""


class Literals(TorchFunctionMode):
    """Tells of the tensors on ``meta`` that are made of numbers in Python: by ``torch.tensor``, and in an index."""

    def __init__(self, values: KeepsLiterals) -> None:
        """Tell *values* of the tensors."""
        super().__init__()
        self._values = values

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run *func*, and keep the numbers that it made a tensor of."""
        if func is torch.Tensor.__getitem__ and isinstance(args[1], tuple) and args[0].is_meta:
            args = args[0], tuple(map(self._index, args[1]))
        result = func(*args, **kwargs or {})
        if func is torch.tensor and result.is_meta:
            self._values.store_literal(result, args[0] if args else (kwargs or {})["data"])
        return result

    def _index(self, index: Any) -> Any:
        """Return an index; a list of positions as a tensor that keeps them."""
        if not (isinstance(index, list) and index and all(type(position) is int for position in index)):
            return index
        with torch._C._DisableTorchDispatch():
            tensor = torch.tensor(index, device="meta")
        self._values.store_literal(tensor, index)
        return tensor
