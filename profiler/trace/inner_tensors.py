"""Find the tensors that hold the data of a tensor subclass.

A wrapper subclass (DTensor, the quantized weights of torchao, a jagged nested tensor …) has a shape and a dtype, but no
memory of its own: the tensors that it wraps hold the data. So do the indices and values of a sparse tensor.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from profiler.trace.dispatch_kind import has_own_dispatch
from profiler.trace.dispatch_stack import hidden

if TYPE_CHECKING:
    from collections.abc import Iterator

_DISTRIBUTED = "torch.distributed.tensor"
#: The methods that return what a sparse tensor holds, by its layout.
_SPARSE_PARTS = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


def inner_tensors(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the tensors that hold the data of *tensor*: itself, or those that a wrapper subclass wraps, at any depth.

    They are the attributes that ``__tensor_flatten__`` names. A wrapper without that method is searched for attributes
    that are tensors.

    Example:
        >>> nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged)
        >>> [tuple(inner.shape) for inner in inner_tensors(nested)][:2]
        [(6, 3), (3,)]
    """
    if not is_wrapper(tensor):
        yield tensor
        return
    for inner in _wrapped(tensor):
        yield from inner_tensors(inner)


def storages_of(tensor: torch.Tensor) -> Iterator[torch.UntypedStorage]:
    """Yield the storages that hold the data of *tensor*; none for a sparse, opaque or uninitialized tensor."""
    for inner in inner_tensors(tensor):
        with suppress(RuntimeError, NotImplementedError, ValueError):
            yield inner.untyped_storage()


def sparse_parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return the indices and values that hold the data of a sparse tensor; empty for any other tensor.

    Example:
        >>> [tuple(part.shape) for part in sparse_parts(torch.eye(3).to_sparse())]
        [(2, 3), (3,)]
    """
    names = _SPARSE_PARTS.get(tensor.layout)
    if names is None:
        return []
    with hidden():
        return [getattr(tensor, name)() for name in names]


def is_wrapper(tensor: torch.Tensor) -> bool:
    """Return whether a tensor has no memory of its own, but wraps tensors that have."""
    if not has_own_dispatch(type(tensor)):
        return False
    return is_traceable_wrapper_subclass(tensor) or _has_no_memory(tensor)


def elements_here(tensor: torch.Tensor) -> int:
    """Return the number of elements of a tensor; of a DTensor, those of this rank.

    A quantized weight has the elements of the matrix that it stands for, however they are packed.
    """
    distributed = getattr(sys.modules.get(_DISTRIBUTED), "DTensor", None)
    if distributed is not None and isinstance(tensor, distributed):
        return sum(map(elements_here, _wrapped(tensor)))
    return int(tensor.numel())


def _wrapped(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return the tensors that a wrapper holds directly."""
    if is_traceable_wrapper_subclass(tensor):
        names, _ = tensor.__tensor_flatten__()
        attributes = [getattr(tensor, name) for name in names]
    else:
        attributes = list(vars(tensor).values())
    return [value for value in attributes if isinstance(value, torch.Tensor) and value is not tensor]


def _has_no_memory(tensor: torch.Tensor) -> bool:
    """Return whether a tensor was made by ``_make_wrapper_subclass``: its storage refuses to tell an address."""
    try:
        tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError, ValueError):
        return True
    return False
