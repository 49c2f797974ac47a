"""Observe storages that change their size in place: FSDP frees a gathered parameter with ``storage.resize_(0)``.

That is a method of the storage and no operator, so no dispatch mode sees it. While anything observes,
``torch.UntypedStorage`` has a ``resize_`` that reports each call.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_observers: list[Callable[[torch.UntypedStorage], None]] = []
_lock = RLock()
_resize = torch.UntypedStorage.resize_


def _observed_resize(storage: torch.UntypedStorage, size: int) -> Any:
    """Resize a storage, and report it to every observer."""
    result = _resize(storage, size)
    for observer in tuple(_observers):
        observer(storage)
    return result


@contextmanager
def observe_resizes(observer: Callable[[torch.UntypedStorage], None]) -> Iterator[None]:
    """Call *observer* with each storage that is resized inside the block, on any thread, after it was resized."""
    with _lock:
        if not _observers:
            torch.UntypedStorage.resize_ = _observed_resize  # type: ignore[method-assign,assignment]
        _observers.append(observer)
    try:
        yield
    finally:
        with _lock:
            _observers.remove(observer)
            if not _observers and vars(torch.UntypedStorage).get("resize_") is _observed_resize:
                del torch.UntypedStorage.resize_
