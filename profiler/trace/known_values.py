"""Values of tensors on ``meta`` that are known: of masks and positions that a model or we made without parameters.

Models ask whether a mask is all ones, or where a token stands. On ``meta`` the answer is known if every tensor that it
follows from was made of numbers: by ``ones``, ``arange``, a copy from the CPU. In the block of ``known_values`` such
tensors keep their values on the CPU, and what is computed of them alone is computed there too.

Values are kept by storage, so that views need no care; what is written to a storage without being known is forgotten.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import ref

import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten
from torch.utils.weak import WeakIdKeyDictionary

from profiler.trace.known_literals import Literals
from profiler.trace.unseen_literals import unseen_literals
from profiler.trace.value_rules import (
    FILLS,
    OVERWRITES,
    SELECTS,
    UNWRITTEN,
    broadcast,
    collapsed,
    filled,
    is_of_equals,
    is_plain,
    is_pure,
    run_on_cpu,
    tensors_among,
    view,
    written_positions,
)
from profiler.util.dispatch_modes import PlainDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterator

_ITEM = torch.ops.aten._local_scalar_dense.default
#: The most elements of which values are kept: a mask of 2048 × 2048. Tensors of one value have no limit.
_MOST = 2**22

_ACTIVE: ContextVar[_KnownValues | None] = ContextVar("known_values", default=None)


@contextmanager
def known_values() -> Iterator[None]:
    """Keep the values of tensors on ``meta`` in the block, as far as they are known."""
    mode = _KnownValues()
    token = _ACTIVE.set(mode)
    try:
        with mode, Literals(mode), unseen_literals():
            yield
    finally:
        _ACTIVE.reset(token)


def known_value(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the values of a tensor on ``meta``, on the CPU; None if they are not known. Do not write to them.

    Example:
        >>> with known_values():
        ...     mask = torch.ones(2, 3, device="meta")
        ...     known_value(mask[:, 1:] * 2), bool(mask.all())
        (tensor([[2., 2.],
                [2., 2.]]), True)
    """
    mode = _ACTIVE.get()
    return None if mode is None else mode.find(tensor)


class _KnownValues(PlainDispatchMode):
    """Runs every operator on ``meta`` unchanged, and with known values on the CPU too."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        #: Storage → all its elements in order; one element if all are equal.
        self._elements = WeakIdKeyDictionary(ref_type=ref)
        #: Storages of integers that nothing has written to yet. What they hold before that, no program may read.
        self._unwritten = WeakIdKeyDictionary(ref_type=ref)

    def find(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the values of a tensor; None if they are not known."""
        if not tensor.is_meta:
            return tensor if tensor.device.type == "cpu" and is_plain(tensor) else None
        elements = self._elements.get(tensor.untyped_storage()) if is_plain(tensor) else None
        if elements is None or elements.dtype is not tensor.dtype:
            return None
        return view(elements, tensor)

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):
            return func(*args, **kwargs)
        if func is _ITEM:
            value = self.find(args[0])
            return func(args[0] if value is None else value)
        try:
            result = func(*self._with_indices(func, args), **kwargs)
        except (NotImplementedError, RuntimeError):  # the result, or its size, follows from values
            values = self._computed(func, args, kwargs, result=None, once=False)
            if values is None:
                raise
            return values if str(kwargs.get("device")) == "cpu" else self._from_values(values)
        self._note(func, args, kwargs, result)
        return result

    def store_literal(self, tensor: torch.Tensor, numbers: Any) -> None:
        """Keep the numbers of which a tensor was made, which no dispatch mode sees."""
        with torch._C._DisableTorchDispatch():
            self._store(tensor, run_on_cpu(torch.tensor, (numbers,), {"device": "cpu", "dtype": tensor.dtype}))

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Keep what is known of an operator's results; forget what it overwrote."""
        if written_positions(func):
            self._write(func, args, kwargs)
        elif func._schema.name.startswith(UNWRITTEN):
            if is_plain(result) and result.is_meta and not (result.is_floating_point() or result.is_complex()):
                self._unwritten[result.untyped_storage()] = True
        elif func in FILLS:
            self._store(result, filled(func, args, kwargs, result))
        elif func in SELECTS and self._is_constant(args[0]):
            self._store(result, self._elements[args[0].untyped_storage()])
        elif any(self._is_new(made) for made in tensors_among((result,))):
            values = self._computed(func, args, kwargs, result, once=is_of_equals(func))
            for made, value in zip(tree_leaves(result), tree_leaves(values), strict=False):
                self._store(made, value)

    def _is_constant(self, tensor: torch.Tensor) -> bool:
        value = self.find(tensor) if tensor.is_meta else None
        return value is not None and self._elements[tensor.untyped_storage()].numel() == 1

    def _is_new(self, tensor: torch.Tensor) -> bool:
        return tensor.is_meta and is_plain(tensor) and tensor.untyped_storage() not in self._elements

    def _with_values(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Return the arguments with values in place of tensors; None if some are not known."""
        if any(self.find(tensor) is None for tensor in tensors_among((*args, *kwargs.values()))):
            return None
        leaves, spec = tree_flatten((args, kwargs))
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, torch.Tensor):
                leaves[i] = self.find(leaf)
            elif isinstance(leaf, torch.device):
                leaves[i] = torch.device("cpu")
        call: tuple[tuple[Any, ...], dict[str, Any]] = tree_unflatten(leaves, spec)
        return call

    def _computed(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, *, once: bool) -> Any:
        """Return what an operator returns for the known values; None if some are not known, or there are too many.

        Args:
            func: The operator.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            result: What it returned on ``meta``; None if it raised there.
            once: Compute one element of each dimension along which all are equal; the result broadcasts.
        """
        call = self._with_values(args, kwargs) if is_pure(func) else None
        if call is None:
            return None
        if once:
            leaves, spec = tree_flatten(call)
            call = tree_unflatten([collapsed(v) if isinstance(v, torch.Tensor) else v for v in leaves], spec)
        operands = tensors_among((*call[0], *call[1].values()))
        results = [broadcast(operands)] if once else tensors_among((result,))
        return None if any(map(_is_too_large, [*operands, *results])) else run_on_cpu(func, *call)

    def _with_indices(self, func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of an indexing with positions in place of a known Boolean mask, whose size they give."""
        if func is not torch.ops.aten.index.Tensor or not args[0].is_meta:
            return args
        indices: list[Any] = []
        for index in args[1]:
            value = self.find(index) if index is not None and index.dtype is torch.bool else None
            indices += [index] if value is None else [part.to("meta") for part in value.nonzero(as_tuple=True)]
        return args[0], indices

    def _from_values(self, values: Any) -> Any:
        """Return tensors on ``meta`` like those of the values, which they keep."""
        leaves, spec = tree_flatten(values)
        for i, value in enumerate(leaves):
            if isinstance(value, torch.Tensor):
                leaves[i] = torch.empty(value.shape, dtype=value.dtype, device="meta")
                self._store(leaves[i], value)
        return tree_unflatten(leaves, spec)

    def _store(self, tensor: Any, value: Any) -> None:
        """Keep the values of a new tensor that fills its storage."""
        if not isinstance(tensor, torch.Tensor) or not isinstance(value, torch.Tensor) or not tensor.is_meta:
            return
        storage = tensor.untyped_storage()
        if storage in self._elements or not is_plain(tensor) or tensor.dtype is not value.dtype:
            return
        if value.numel() == 1:
            self._elements[storage] = value.reshape(1).clone()
        elif not _is_too_large(tensor) and tensor.numel() == storage.nbytes() // tensor.itemsize:
            elements = value.new_empty(tensor.numel())
            elements.as_strided(tensor.shape, tensor.stride(), 0).copy_(value)
            self._elements[storage] = elements

    def _write(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Write to the known values what an operator wrote to a tensor; forget them if that is not known."""
        values = (args[i] if i < len(args) else kwargs.get(name) for i, name in written_positions(func))
        written = [tensor for tensor in tensors_among(tuple(values)) if tensor.is_meta and is_plain(tensor)]
        before = [self._elements.pop(tensor.untyped_storage(), None) for tensor in written]
        unwritten = [self._unwritten.pop(tensor.untyped_storage(), False) for tensor in written]
        if len(written) != 1 or not is_pure(func):
            return
        elements, (tensor,) = before[0], written
        size = tensor.untyped_storage().nbytes() // tensor.itemsize
        if elements is None and (unwritten[0] or (func in OVERWRITES and tensor.numel() == size)):
            elements = torch.zeros(1, dtype=tensor.dtype)
        if elements is None or elements.dtype is not tensor.dtype or size > _MOST:
            return
        self._elements[tensor.untyped_storage()] = elements.expand(size).clone() if elements.numel() == 1 else elements
        call = self._with_values(args, kwargs)
        if call is None or run_on_cpu(func, *call) is None:
            del self._elements[tensor.untyped_storage()]


def _is_too_large(tensor: torch.Tensor) -> bool:
    return tensor.numel() > _MOST
