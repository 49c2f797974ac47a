"""What storages are used for: those of parameters, buffers, gradients and optimizer states get their category here."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch

from profiler.trace.argument_specs import TENSORS
from profiler.trace.held_tensors import Holdings
from profiler.trace.inner_tensors import inner_tensors, sparse_parts
from profiler.trace.inventory import packed_weights, packing_kinds
from profiler.trace.live_storages import NO_STORAGE
from profiler.trace.nested_tensors import tensors_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from profiler.trace.live_storages import LiveStorages
    from profiler.trace.storage_ref import StorageRef
    from profiler.values.memory import Category


#: Attributes of an optimizer that hold no state of it, or that are looked at by themselves.
_NO_STATE = frozenset({"param_groups", "defaults", "state"})


class StorageMarks:
    """Marks the storages of a model's parameters, buffers and gradients, and of what optimizers keep."""

    def __init__(self, model: nn.Module | None, storages: LiveStorages) -> None:
        """Prepare to mark the storages of *model* among *storages*."""
        self._model = model
        self._storages = storages
        #: The storages of the model's parameters and buffers, by the ``id`` of these.
        self._model_storages: dict[int, StorageRef] = {}
        #: Storages without memory, in the place of packed weights.
        self._packed: list[torch.UntypedStorage] = []

    def forget(self) -> None:
        """Forget which parameters and buffers were marked."""
        self._model_storages.clear()

    def mark_packed_weights(self, holdings: Holdings) -> None:
        """Count the weights that quantized layers keep packed, in objects without a storage, from now on."""
        self._packed.clear()
        packing = packing_kinds(holdings)
        for module in holdings.modules if packing else ():
            if type(module) not in packing:
                continue
            size = sum(weight.nbytes for weight in packed_weights(module))
            if size:
                self._packed.append(torch.UntypedStorage(size, device="meta"))
                self._storages.start_tracking(self._packed[-1], self._storages.unknown_producer, "parameter")

    def mark_model(self, holdings: Holdings | None = None) -> None:
        """Mark the model's parameters and buffers that are not yet marked; it may create some when it runs."""
        holdings = holdings or Holdings(self._model)
        self._mark(holdings.copies, "gathered")
        self._mark_held(holdings.parameters, "parameter")
        self._mark_held(holdings.buffers, "buffer")

    def mark_gradients(self, holdings: Holdings | None = None) -> None:
        """Mark the current gradients of the model's own parameters."""
        self._mark(list((holdings or Holdings(self._model)).gradients), "gradient")

    def mark_optimizer_states(self, optimizer: torch.optim.Optimizer, *, begins: bool) -> None:
        """Mark the states of an optimizer and the gradients of its parameters. What is new when it *begins* existed."""
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        self._mark((p.grad for p in parameters if p.grad is not None), "gradient", existing=begins)
        attributes = [value for name, value in vars(optimizer).items() if name not in _NO_STATE]
        self._mark(tensors_in([*optimizer.state.values(), *attributes]), "optimizer_state", existing=begins)

    def _mark_held(self, tensors: Iterable[torch.Tensor], category: Category) -> None:
        """Mark the tensors that were not marked before, or that have another storage since."""
        marked, storages = self._model_storages, self._storages
        live, producer = storages.live, storages.unknown_producer
        for tensor in tensors:
            for inner in (tensor,) if type(tensor) in TENSORS else inner_tensors(tensor):
                try:
                    untyped = inner.untyped_storage()
                except NO_STORAGE:
                    self._mark(sparse_parts(inner), category)
                    continue
                key = untyped._cdata
                storage = marked.get(id(inner))
                if storage is not None and storage.key == key and storage() is not None:
                    continue
                storage = live.get(key)
                if storage is None or storage() is None:
                    storage = storages.start_tracking(untyped, producer, category)
                else:
                    self._mark((inner,), category)
                    storage = live[key]
                marked[id(inner)] = storage

    def _mark(self, tensors: Iterable[torch.Tensor], category: Category, *, existing: bool = False) -> None:
        """Track *tensors* in this category. Parameters and buffers keep theirs.

        Those that are new to us count from the start of the block if they are *existing*.
        """
        storages = self._storages
        inner = (((t,) if type(t) in TENSORS else inner_tensors(t)) for t in tensors)
        for tensor in chain.from_iterable(sparse_parts(t) or (t,) for t in chain.from_iterable(inner)):
            storage = storages.track(tensor, storages.unknown_producer, category, existing=existing)
            if storage is not None and storage.category not in {category, "parameter", "buffer"}:
                storages.recategorize(storage, category)
