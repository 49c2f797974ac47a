"""Observe tensors whose memory is handed to code that is no operator: NumPy, DLPack, a kernel that takes an address.

``Tensor.numpy``, ``__dlpack__`` and ``data_ptr`` are no operators, so no dispatch mode sees them. While anything
observes, ``torch.Tensor`` has methods of these names that report each call.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_METHODS = ("numpy", "data_ptr", "__dlpack__")
_observers: list[Callable[[torch.Tensor], None]] = []
_lock = RLock()
#: What ``torch.Tensor`` itself has of these names; it inherits the others.
_OWN = {name: vars(torch.Tensor)[name] for name in _METHODS if name in vars(torch.Tensor)}


def _observed(name: str) -> Any:
    """Return a method that calls torch's own, and reports the tensor to every observer first."""
    method = getattr(torch.Tensor, name)

    @functools.wraps(method)
    def call(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        for observer in tuple(_observers):
            observer(self)
        return method(self, *args, **kwargs)

    return call


_OBSERVED = {name: _observed(name) for name in _METHODS}


@contextmanager
def observe_exports(observer: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Call *observer* with each tensor whose memory is handed out inside the block, on any thread, before it is."""
    with _lock:
        if not _observers:
            for name, method in _OBSERVED.items():
                setattr(torch.Tensor, name, method)
        _observers.append(observer)
    try:
        yield
    finally:
        with _lock:
            _observers.remove(observer)
            if not _observers:
                _restore()


def _restore() -> None:
    """Give ``torch.Tensor`` its own methods back; one that somebody else has replaced meanwhile stays."""
    for name, method in _OBSERVED.items():
        if vars(torch.Tensor).get(name) is not method:
            continue
        if name in _OWN:
            setattr(torch.Tensor, name, _OWN[name])
        else:
            delattr(torch.Tensor, name)
