"""What a model and an optimizer hold at one moment, to be put back: attributes, containers, tensors and their values.

Everything is restored in place, so that references from elsewhere stay valid: to a module's dictionary of buffers, to a
parameter, to the state of an optimizer.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from profiler.trace.dispatch_stack import hidden
from profiler.trace.saved_tensor import SavedTensor
from profiler.util.containers import MAPPINGS, SEQUENCES, restore_container
from profiler.util.random_state import generator_types, save_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Objects whose attributes are restored.
_OWNERS = (nn.Module, torch.optim.Optimizer)


class Snapshot:
    """The state of some objects, and of all modules, containers, tensors and random generators that they hold."""

    def __init__(self, *roots: object, parameters: bool = False, gradients: bool = False) -> None:
        """Save the state of *roots*.

        Args:
            *roots: Modules and optimizers.
            parameters: Copy the values of parameters too. Those of buffers and of other tensors are always copied.
            gradients: Copy the values of the gradients.
        """
        self._copies_parameters, self._copies_gradients = parameters, gradients
        self._restores: list[Callable[[], object]] = []
        self._tensors: list[SavedTensor] = []
        #: Every object that was followed, by its ``id``: a reference keeps the number from reuse.
        self._followed: dict[int, object] = {}
        self._follow(list(roots))
        #: The tensors whose values are not copied yet, by their storage.
        self._uncopied: defaultdict[int, list[SavedTensor]] = defaultdict(list)
        for tensor in self._tensors:
            if tensor.storage is not None and not tensor.has_values:
                self._uncopied[tensor.storage].append(tensor)

    def restore(self) -> None:
        """Put everything back."""
        for restore in self._restores:
            restore()
        for tensor in self._tensors:
            tensor.restore()

    def before_overwrite(self, arguments: Iterable[Any]) -> None:
        """Copy the values of tensors among the arguments of an operator that overwrites one of them."""
        for tensor in _tensors(arguments) if self._uncopied else ():
            storage = tensor.untyped_storage()._cdata if tensor.layout is torch.strided else 0
            for saved in self._uncopied.pop(storage, ()):
                with hidden():
                    saved.copy_values()

    def _follow(self, pending: list[object]) -> None:
        followed = (*_OWNERS, *MAPPINGS, *SEQUENCES, set, tuple, torch.Tensor, *generator_types())
        while pending:
            held = pending.pop()
            if id(held) not in self._followed:
                self._followed[id(held)] = held
                pending += [item for item in self._save(held) if isinstance(item, followed)]

    def _save(self, held: Any) -> Iterable[object]:
        """Save one object; return what it holds."""
        if isinstance(held, torch.Tensor):
            self._save_tensor(held)
            return ()
        if isinstance(held, _OWNERS):
            return self._save_owner(held)
        if type(held) in MAPPINGS:
            return () if _is_sharded(held) else tuple(self._save_container(held, dict(held)).values())
        if type(held) in SEQUENCES:
            return tuple(self._save_container(held, list(held)))
        if type(held) is set:
            return tuple(self._save_container(held, set(held)))
        if isinstance(held, generator_types()):
            self._restores.append(save_generator(held))
        return held if isinstance(held, tuple) else ()

    def _save_owner(self, held: Any) -> Iterable[object]:
        attributes = dict(vars(held))
        self._restores.append(partial(_restore_owner, held, type(held), attributes))
        if isinstance(held, torch.jit.ScriptModule):  # it keeps what it holds in C++
            return (*held.children(), *held.buffers(recurse=False), *held.parameters(recurse=False))
        return attributes.values()

    def _save_container(self, held: Any, items: Any) -> Any:
        self._restores.append(partial(restore_container, held, items))
        return items

    def _save_tensor(self, held: torch.Tensor) -> None:
        copies = self._copies_parameters or not isinstance(held, nn.Parameter)
        saved = SavedTensor(held, copy_values=copies)
        self._tensors.append(saved)
        if saved.grad is not None:
            self._tensors.append(SavedTensor(saved.grad, copy_values=self._copies_gradients))


def _restore_owner(held: Any, kind: type, attributes: dict[str, Any]) -> None:
    if type(held) is not kind:
        held.__class__ = kind  # a lazy module became an ordinary one
    restore_container(vars(held), attributes)


def _tensors(arguments: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Yield the tensors among the arguments of an operator, and in lists of them."""
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            yield argument
        elif isinstance(argument, (list, tuple)):
            yield from _tensors(argument)


def _is_sharded(held: dict[Any, Any]) -> bool:
    """Return whether a dictionary holds distributed tensors: FSDP exchanges them, and notes elsewhere which it has."""
    return any(type(value).__name__ == "DTensor" for value in held.values())
