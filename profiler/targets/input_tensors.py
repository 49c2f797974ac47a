"""Create the input tensors of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError, one_line
from profiler.escaping import quoted
from profiler.targets.target import Argument, TensorInput

if TYPE_CHECKING:
    from torch import nn


class TensorMaker:
    """Creates tensors on a device, with values from its own generator; the global random state is not touched."""

    def __init__(self, device: torch.device | str, dtype: torch.dtype, cast: torch.dtype | str | None = None) -> None:
        """Create tensors on *device*, of *dtype* where an input names none.

        Floating-point tensors that have values are converted to *cast*; None keeps their dtype.
        """
        self._device, self._dtype = torch.device(device), dtype
        self._cast = getattr(torch, cast) if isinstance(cast, str) else cast
        self._generator = torch.Generator().manual_seed(0)

    def make(self, argument: Argument, name: str) -> Any:
        """Return the value of an argument; *name* is its name in ``forward``, which tells masks."""
        value = tree_map_only(TensorInput, lambda tensor: self._tensor(tensor, name), argument.value)
        value = tree_map_only(torch.Tensor, lambda tensor: self._given(tensor, name), value)
        return list(value) if argument.as_list else value

    def _given(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """Return a tensor that has values, on the device; one on ``meta`` has none, and gets some."""
        dtype = self._cast if self._cast is not None and tensor.is_floating_point() else tensor.dtype
        if tensor.is_meta and self._device.type != "meta":
            return self._tensor(TensorInput(tuple(tensor.shape), str(dtype).removeprefix("torch.")), name)
        try:
            return tensor.detach().to(self._device, dtype).requires_grad_(tensor.requires_grad)
        except (RuntimeError, TypeError) as error:
            msg = f"cannot move the input {quoted(name)} to {self._device} ({one_line(error)})"
            raise InputError(msg) from error

    def _tensor(self, tensor: TensorInput, name: str) -> torch.Tensor:
        dtype = self._dtype if tensor.dtype is None else getattr(torch, tensor.dtype)
        try:
            if tensor.starts_with:
                return _runs(tensor, dtype).to(self._device)
            if self._device.type == "meta":
                return self._on_meta(tensor.shape, dtype, name)
            return self._values(tensor.shape, dtype, name).to(self._device)
        except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
            shape = "x".join(map(str, tensor.shape))
            msg = f"cannot make the input {quoted(f'{shape}:{dtype}')} on {self._device} ({one_line(error)})"
            raise InputError(msg) from error

    def _on_meta(self, shape: tuple[int, ...], dtype: torch.dtype, name: str) -> torch.Tensor:
        """Fill masks and integers as on the CPU: a model may ask for them, and ``known_values`` remembers them."""
        if name.endswith("mask"):
            return torch.ones(shape, dtype=dtype, device="meta")
        make = torch.empty if dtype.is_floating_point or dtype.is_complex else torch.zeros
        return make(shape, dtype=dtype, device="meta")

    def _values(self, shape: tuple[int, ...], dtype: torch.dtype, name: str) -> torch.Tensor:
        """Draw values on the CPU, so that they are the same on every device."""
        if name.endswith("mask"):
            return torch.ones(shape, dtype=dtype)
        if dtype.is_complex:
            return torch.randn(shape, dtype=torch.complex64, generator=self._generator).to(dtype)
        if dtype.is_floating_point:
            return torch.randn(shape, dtype=torch.float32, generator=self._generator).to(dtype)
        return torch.zeros(shape, dtype=dtype)


def _runs(tensor: TensorInput, dtype: torch.dtype) -> torch.Tensor:
    """Return equal rows of the numbers that each begins with, and zeros."""
    numbers = torch.tensor([number for number, times in tensor.starts_with for _ in range(times)], dtype=dtype)
    row = torch.zeros(tensor.shape[-1], dtype=dtype)
    row[: len(numbers)] = numbers[: len(row)]
    return row.expand(tensor.shape)


def floating_dtype(module: nn.Module) -> torch.dtype:
    """Return the dtype of the module's first floating-point parameter; float32 if it has none."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
