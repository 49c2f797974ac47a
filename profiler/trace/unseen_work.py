"""Find the work of kernels that are no operators: NumPy, an extension of C++ or Triton, a foreign library.

No dispatch mode sees them. Their results are seen when they come to an operator, or when they are what the model
returns, and only in a forward or backward pass:

- memory that was allocated there, and to which no operator has written;
- memory that an operator filled with zeros, and that holds something else now;
- memory that changed after its address was handed out (``numpy()``, ``data_ptr()``), though no operator wrote to it;
- a tensor made of host memory (``torch.from_numpy``) by the call of a module, or the autograd node, that had handed out
  the values of another tensor before.

The last needs both: a module that makes a constant with NumPy does no work on what the model computes. What goes out as
a single number, or as indices, lengths and masks, is bookkeeping and no evidence.
"""

from __future__ import annotations

from collections import Counter
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.argument_specs import SpecCache
from profiler.trace.dispatch_kind import Effect
from profiler.trace.exported_memory import Export, attributes_of, has_storage, is_unchanged, untyped_of
from profiler.trace.nested_tensors import tensors_in
from profiler.trace.operator_calls import OperatorCall, UnseenKernel
from profiler.trace.storage_bytes import address_range, is_zero, sample
from profiler.trace.storage_ref import Contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.trace.dispatch_kind import OperatorPlan
    from profiler.trace.module_stack import ModuleStack
    from profiler.trace.storage_ref import Producer, StorageRef
    from profiler.trace.storage_tracker import StorageTracker
    from profiler.values.records import Phase

#: Makes a tensor of a Python value, or of memory of the host.
LIFT = torch.ops.aten.lift_fresh.default
_BOOKKEEPING = frozenset({torch.bool, torch.int16, torch.int32, torch.int64})
#: In-place operators that read what they overwrite. Read uninitialized it would be noise, so that something wrote it.
_READ_IN_PLACE = frozenset(
    "add_ sub_ mul_ div_ relu_ addmm_ baddbmm_ addcmul_ addcdiv_ clamp_ clamp_min_ clamp_max_ sigmoid_ tanh_ silu_ "
    "gelu_ hardtanh_ leaky_relu_ elu_ exp_ log_ sqrt_ neg_ lerp_ pow_".split()
)
#: Operators that take of an argument its shape alone.
_SHAPE_ONLY = ("new_",)
_SHAPE_ONLY_ENDING = "_like"


class UnseenWork:
    """Finds the results of kernels that are no operators in one session."""

    def __init__(
        self,
        modules: ModuleStack,
        storages: StorageTracker,
        calls: Counter[OperatorCall],
        is_recording: Callable[[], bool],
    ) -> None:
        """Look at the tensors of *storages*, and add each result to *calls*, with its module and phase.

        *is_recording* returns whether what runs on this thread now is recorded.
        """
        self._modules = modules
        self._storages = storages
        self._calls = calls
        self._specs = SpecCache()
        self._lock = RLock()
        self._launches: Counter[tuple[str, Phase]] = Counter()
        self._is_recording = is_recording

    def on_export(self, tensor: torch.Tensor) -> None:
        """Note that the memory of *tensor* is handed out."""
        scope = self._modules.scope()
        if scope is None or tensor.is_meta or self._modules.is_whole or not self._is_recording():
            return
        storage = self._storages.storages.find(tensor)
        untyped = storage() if storage is not None else None
        if storage is None or untyped is None:
            return
        if storage.category in {"parameter", "buffer"}:
            return
        values, place = sample(untyped), self._modules.locate()
        if not storage.contents and values:
            storage.contents, storage.sample, storage.shared_by = Contents.SHARED, values, place
        if tensor.dtype not in _BOOKKEEPING and tensor.numel() > 1:
            self._modules.exports(scope).append(Export(storage, address_range(untyped), values, place))

    def on_launch(self) -> None:
        """Note that a Triton kernel is launched, or a compiled program run, outside of every operator."""
        if self._modules.scope() is not None and self._is_recording() and not self._modules.is_whole:
            with self._lock:
                self._launches[self._modules.locate()] += 1

    def add_launches(self) -> None:
        """Add the launches in modules where nothing else tells of unseen work: kernels that write in place."""
        with self._lock:
            told = {(call.module, call.phase) for call in self._calls if isinstance(call.operator, UnseenKernel)}
            for place, launches in self._launches.items():
                call = OperatorCall(UnseenKernel(), *place, (), (), ())
                if place not in told or call in self._calls:
                    self._calls[call] = launches

    def on_lift(self, tensor: torch.Tensor) -> None:
        """Look at a tensor that was made of a Python value, or of memory of the host."""
        untyped = untyped_of(tensor)
        if untyped is None or untyped.resizable() or not tensor.numel():
            return  # torch allocated it: a copy of numbers of Python
        scope = self._modules.scope()
        exports = self._modules.exports(scope) if scope is not None else []
        if self._is_result(untyped, exports):
            self._on_result(tensor, self._modules.locate())
        else:
            self._storages.adopt(tensor, None, "input")

    def on_operator(self, producer: Producer, plan: OperatorPlan, args: Any, kwargs: Any, result: Any) -> None:
        """Look at the operands that nothing is known to have written; note what the operator leaves unwritten."""
        func, _, phase = producer
        unproven = list(self._storages.unproven)
        self._storages.unproven.clear()
        if unproven:
            targets = set(map(id, tensors_in(overwritten(func, args, kwargs))))
            for tensor, storage in unproven:
                self._look_at(func, tensor, storage, is_overwritten=id(tensor) in targets)
        is_inside = plan.is_allocation and (phase == "backward" or self._modules.scope() is not None)
        if is_inside and not self._modules.is_whole:
            for tensor in tensors_in(result):
                self._on_allocation(func, plan.effect, tensor)

    def on_output(self, output: Any) -> None:
        """Look at what the model returns."""
        if self._is_recording():
            for tensor in tensors_in(output):
                storage = self._storages.storages.find(tensor)
                if storage is not None and storage.contents:
                    self._read(tensor, storage)
                elif storage is None:
                    self._look_at_unknown(tensor)

    def on_written(self, arguments: Any) -> None:
        """Note that an operator without a schema may have written to any of its arguments."""
        for tensor in tensors_in(arguments):
            storage = self._storages.storages.find(tensor)
            if storage is not None:
                storage.contents = Contents.WRITTEN

    def _on_allocation(self, func: Any, effect: Effect, tensor: torch.Tensor) -> None:
        storage = self._storages.storages.find(tensor)
        if storage is None:
            return
        if effect is Effect.ALLOCATES:
            storage.contents = Contents.UNWRITTEN
        elif func._opname != "zero_":
            storage.contents = Contents.ZEROS
        elif storage.contents is Contents.UNWRITTEN:
            is_whole = tensor.numel() * tensor.element_size() == storage.bytes
            storage.contents = Contents.ZEROS if is_whole else Contents.WRITTEN

    def _look_at(self, func: Any, tensor: torch.Tensor, storage: StorageRef, *, is_overwritten: bool) -> None:
        """Look at one operand of an operator that has run."""
        if not storage.contents:
            self._look_at_unknown(tensor)
            return
        if func.namespace != "aten":  # such an operator may write without a word of it in its schema
            storage.contents = Contents.WRITTEN
        elif is_overwritten:
            if storage.contents is Contents.UNWRITTEN and func._opname in _READ_IN_PLACE:
                self._read(tensor, storage)
            if func._opname != "zero_":
                storage.contents = Contents.WRITTEN
        elif not func._opname.startswith(_SHAPE_ONLY) and not func._opname.endswith(_SHAPE_ONLY_ENDING):
            self._read(tensor, storage)

    def _look_at_unknown(self, tensor: torch.Tensor) -> None:
        """Look at a tensor that was not seen before: it may be host memory that torch took over without an operator."""
        untyped = untyped_of(tensor)
        exports = self._modules.latest_exports()
        if not exports or untyped is None or untyped.resizable() or tensor.is_meta or not tensor.numel():
            return
        if self._is_result(untyped, exports) and not self._is_held(untyped):
            self._on_result(tensor, exports[-1].place)

    def _read(self, tensor: torch.Tensor, storage: StorageRef) -> None:
        """Record the work of whatever has written to a storage that an operator reads."""
        untyped = storage()
        if untyped is None or not tensor.numel() or tensor.dtype in _BOOKKEEPING:  # DDP fills such from C++
            return
        if storage.contents is Contents.ZEROS and is_zero(untyped):
            return
        if storage.contents is Contents.SHARED and sample(untyped) == storage.sample:
            return
        is_shared = storage.contents is Contents.SHARED
        storage.contents = Contents.WRITTEN
        if not self._modules.is_whole and not self._is_parameter(untyped):
            self._record(*(storage.shared_by if is_shared else storage.producer[1:]), tensor)

    def _is_result(self, untyped: torch.UntypedStorage, exports: list[Export]) -> bool:
        """Return whether host memory holds something else than what was handed out."""
        addresses = address_range(untyped)
        return not self._modules.is_whole and bool(exports) and not any(is_unchanged(e, addresses) for e in exports)

    def _on_result(self, tensor: torch.Tensor, place: tuple[str, Phase]) -> None:
        """Record a tensor that a kernel made of what was handed out."""
        self._record(*place, tensor)
        self._storages.adopt(tensor, (LIFT, *place), "temporary")
        untyped = untyped_of(tensor)
        addresses = address_range(untyped) if untyped is not None else range(0)
        for export in self._modules.latest_exports():
            if addresses.start in export.addresses:
                export.storage.contents = Contents.WRITTEN  # what changed in it is recorded now

    def _record(self, path: str, phase: Phase, tensor: torch.Tensor) -> None:
        with self._lock:
            self._calls[OperatorCall(UnseenKernel(), path, phase, (), (), self._specs.spec(tensor))] += 1

    def _is_parameter(self, untyped: torch.UntypedStorage) -> bool:
        """Return whether a module that was made in the block has this storage: its weights may stay uninitialized."""
        parameters = (p for module in self._modules.modules for p in module._parameters.values() if p is not None)
        return any(has_storage(parameter, untyped) for parameter in parameters)

    def _is_held(self, untyped: torch.UntypedStorage) -> bool:
        """Return whether an attribute of a module of the model has this storage."""
        return any(has_storage(tensor, untyped) for tensor in attributes_of(self._modules.modules))


def overwritten(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """Return the arguments that an operator overwrites."""
    named = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | (kwargs or {})
    written = (a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write)
    return [named[name] for name in written if name in named]
