"""The categories of what ranks exchange: the buffers of collectives, and of FSDP's copies into and out of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.trace.exchange_buffers import ExchangeBuffers
from profiler.trace.live_storages import FORWARD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.trace.live_storages import LiveStorages
    from profiler.trace.storage_ref import StorageRef
    from profiler.values.memory import Category

#: Categories that an exchange between ranks makes more precise.
_TEMPORARY = frozenset({"temporary"})
_BUCKET = frozenset({"temporary", "activation", "input"})


def hand_over(storages: LiveStorages, read: list[StorageRef | None], results: Iterable[Any]) -> None:
    """Let the result of a wait take the place of what was waited for: fake tensors make a new storage of it."""
    for storage, tensor in zip(read, results, strict=False):
        untyped = tensor.untyped_storage()
        if storage is not None and untyped._cdata != storage.key:
            storages.events.append(storage)  # ends here, and not when its tensor does
            storages.start_tracking(untyped, storage.producer, storage.category)


def mark_exchanged(
    storages: LiveStorages,
    exchange: ExchangeBuffers,
    read: list[StorageRef | None],
    written: list[StorageRef | None],
) -> None:
    """Mark the buffers of a collective, and of FSDP's copies into and out of its flat buffers."""
    for storage in (*read, *written):
        if storage is not None:
            storage.is_exchanged = True
    if exchange in {ExchangeBuffers.FUNCTIONAL, ExchangeBuffers.WAITS}:
        return
    if exchange is ExchangeBuffers.COPIES_OUT:
        _recategorize_all(storages, read[:1], "communication", _TEMPORARY)
        _recategorize_all(storages, read[1:], "gathered", _TEMPORARY)
    elif exchange is ExchangeBuffers.COPIES_IN:
        _recategorize_all(storages, written, "communication", _TEMPORARY)
    elif storages.phase not in FORWARD:  # what a forward pass exchanges are activations
        is_bucket = exchange is ExchangeBuffers.REDUCED_IN_PLACE  # DDP may allocate it during a forward pass
        _recategorize_all(storages, read, "communication", _BUCKET if is_bucket else _TEMPORARY)


def is_received(operands: list[StorageRef | None]) -> bool:
    """Return whether the first operand was the buffer of a collective.

    What is copied into it from memory that nobody has seen comes from the backend's own buffer: gloo has one.
    """
    return bool(operands) and operands[0] is not None and operands[0].is_exchanged


def _recategorize_all(
    storages: LiveStorages, refs: Iterable[StorageRef | None], category: Category, previous: frozenset[str]
) -> None:
    """Move those of *refs* that have one of the *previous* categories to *category*."""
    for storage in refs:
        if storage is not None and storage.category in previous:
            storages.recategorize(storage, category)
