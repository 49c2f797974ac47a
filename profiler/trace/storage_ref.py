"""What the memory tracker knows about one storage, and about the operator that allocated it."""

from __future__ import annotations

import weakref
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import torch

from profiler.values.records import Phase

if TYPE_CHECKING:
    from profiler.values.memory import Category

#: An operator, the path of the module that ran it, and the phase.
Producer = tuple[Any, str, Phase]


class Contents(IntEnum):
    """What is known of the values in a storage. Only ``WRITTEN`` is false."""

    #: Operators wrote them, or they are the user's.
    WRITTEN = 0
    #: It was allocated in a forward or backward pass, and no operator has written to it.
    UNWRITTEN = 1
    #: An operator filled it with zeros, and none has written to it since.
    ZEROS = 2
    #: Code that is no operator has its address. `StorageRef.sample` has the values at that moment.
    SHARED = 3


class StorageRef(weakref.ref[torch.UntypedStorage]):
    """A weak reference to a storage, with attributes that remain readable after the storage is freed."""

    __slots__ = (
        "bytes", "category", "contents", "counted_as", "is_exchanged", "key", "producer", "removed", "sample",
        "shared_by",
    )  # fmt: skip

    #: Some of its bytes when its address was handed out.
    sample: bytes
    #: Which module handed it out, in which phase.
    shared_by: tuple[str, Phase]
    contents: Contents
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
