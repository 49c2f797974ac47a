"""Tensors whose memory was handed out to code that is no operator, and where their storages are found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from profiler.trace.nested_tensors import tensors_in
from profiler.trace.storage_bytes import sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch
    from torch import nn

    from profiler.trace.storage_ref import StorageRef
    from profiler.values.records import Phase


class Export(NamedTuple):
    """A tensor whose memory was handed out."""

    storage: StorageRef
    addresses: range
    #: Some of its bytes at that moment.
    sample: bytes
    #: Which module handed it out, in which phase.
    place: tuple[str, Phase]


def untyped_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """Return the storage of *tensor*; None if it has none of its own."""
    try:
        return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError, ValueError):  # sparse, opaque and uninitialized tensors
        return None


def has_storage(tensor: torch.Tensor, untyped: torch.UntypedStorage) -> bool:
    """Return whether *tensor* has this storage."""
    own = untyped_of(tensor)
    return own is not None and own._cdata == untyped._cdata


def attributes_of(modules: Iterable[nn.Module]) -> Iterator[torch.Tensor]:
    """Yield the tensors among the attributes of modules."""
    for module in modules:
        yield from tensors_in(list(vars(module).values()))


def is_unchanged(export: Export, addresses: range) -> bool:
    """Return whether memory is that of a tensor that was handed out, and has the values that it had then."""
    untyped = export.storage()
    if untyped is None or addresses.start not in export.addresses:
        return False
    return sample(untyped) == export.sample
