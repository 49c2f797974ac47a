"""One tensor as it was: its data, its values, its gradient, and whether it requires one."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from profiler.util.containers import restore_container

_set_versions = torch._C._autograd._unsafe_set_version_counter


class SavedTensor:
    """The state of one tensor."""

    def __init__(self, tensor: torch.Tensor, *, copy_values: bool) -> None:
        """Save *tensor*; its values only if *copy_values* is set or ``copy_values()`` is called."""
        self._tensor = tensor
        self._class = type(tensor)
        self._attributes = dict(vars(tensor))
        self._is_leaf, self._requires_grad = tensor.is_leaf, tensor.requires_grad
        #: Its gradient, which only a leaf has.
        self.grad = tensor.grad if self._is_leaf else None
        #: The data, as a tensor of its own that shares the storage. Those of a subclass are not exchanged.
        self._data = tensor.data if is_lazy(tensor) or is_plain(tensor) else None
        self._values: torch.Tensor | None = None
        self.storage = tensor.untyped_storage()._cdata if is_plain(tensor) else None
        self._version = None if is_lazy(tensor) or tensor.is_inference() else tensor._version
        if copy_values:
            self.copy_values()

    @property
    def has_values(self) -> bool:
        """Whether the values are copied."""
        return self._values is not None

    def copy_values(self) -> None:
        """Copy the values, unless it has none: on ``meta``, or before a lazy module has run."""
        if self._values is None and not is_lazy(self._tensor) and not self._tensor.is_meta:
            with suppress(NotImplementedError, RuntimeError):  # a subclass that cannot be copied
                self._values = _dense(self._target()).clone()

    def restore(self) -> None:
        """Put everything back, in place."""
        tensor = self._tensor
        if type(tensor) is not self._class:
            tensor.__class__ = self._class
        if tensor.is_leaf != self._is_leaf and self._is_leaf:
            tensor.detach_()
        if self._data is not None and not _shares_data(tensor, self._data):
            tensor.data = self._data
        self._restore_values()
        if self._is_leaf and tensor.requires_grad != self._requires_grad:
            tensor.requires_grad_(self._requires_grad)
        if self._is_leaf and tensor.grad is not self.grad:
            tensor.grad = self.grad
        restore_container(vars(tensor), self._attributes)

    def _restore_values(self) -> None:
        """Write the values back if they have changed. The version of the tensor is what it was for the same values."""
        if self._values is not None:
            # a copy into another tensor with the same sparse parts would give parts of its own to that one alone
            target = self._tensor if self._tensor.layout is torch.sparse_coo else _dense(self._target())
            if not _equal(target, self._values):
                with torch.inference_mode(self._tensor.is_inference()), torch.no_grad():
                    target.copy_(self._values)
        if self._version is not None and self._tensor._version != self._version:
            _set_versions((self._tensor,), (self._version,))

    def _target(self) -> torch.Tensor:
        """Return a tensor that shares the data, outside autograd."""
        return self._data if self._data is not None else self._tensor.detach()


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is torch's own, with a strided layout: it has a storage, and nothing inside."""
    kinds: tuple[type, ...] = (torch.Tensor, nn.Parameter, nn.Buffer)
    return type(tensor) in kinds and tensor.layout is torch.strided and not tensor.is_quantized


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    """Return one copy of what an expanded tensor repeats: elements that share memory cannot be written."""
    if tensor.layout is torch.strided and not tensor.is_nested and 0 in tensor.stride():
        for dimension, stride in enumerate(tensor.stride()):
            if stride == 0 and tensor.shape[dimension] > 1:
                tensor = tensor.narrow(dimension, 0, 1)
    return tensor


def _shares_data(tensor: torch.Tensor, data: torch.Tensor) -> bool:
    if is_lazy(tensor):
        return False
    return _place(tensor) == _place(data)


def _place(tensor: torch.Tensor) -> tuple[object, ...]:
    """Return where in which storage the elements are."""
    storage = tensor.untyped_storage()._cdata
    return storage, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


def _equal(left: Any, right: torch.Tensor) -> bool:
    """Return whether the values are known to be the same; looked at on the CPU only, where it is cheap."""
    return right.device.type == "cpu" and is_plain(right) and torch.equal(left, right)
