"""What the memory tracker knows about one storage, and about the operator that allocated it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from profiler.values.records import Phase

if TYPE_CHECKING:
    from profiler.values.memory import Category

#: An operator, the path of the module that ran it, and the phase.
Producer = tuple[Any, str, Phase]


class StorageRef(weakref.ref[torch.UntypedStorage]):
    """A weak reference to a storage, with attributes that remain readable after the storage is freed."""

    __slots__ = ("bytes", "category", "counted_as", "is_exchanged", "key", "producer", "removed")

    bytes: int
    category: Category
    #: The category whose sum includes this storage; None while no sum does.
    counted_as: Category | None
    #: The address of the storage.
    key: int
    #: Whether it was a buffer of a collective.
    is_exchanged: bool
    producer: Producer
    #: Whether the memory timeline has already subtracted it.
    removed: bool
