"""How often each module was called, and on which shapes at first."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Named here, where every call of a module reads them.
_Tensor = torch.Tensor
_tracing_state = torch._C._get_tracing_state


class ModuleTally:
    """The calls of modules, by path."""

    def __init__(self) -> None:
        """Start without a call."""
        self.counts: defaultdict[str, int] = defaultdict(int)
        #: The shapes of the tensors among the arguments of each module's first call.
        self.inputs: dict[str, Sequence[Sequence[int]]] = {}
        #: The shapes of the tensors in each module's first output.
        self.outputs: dict[str, Sequence[Sequence[int]]] = {}

    def on_call(self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Count a call of a module, and note the shapes of the first."""
        self.counts[path] += 1
        if path not in self.inputs:
            self.inputs[path] = _shapes(args[0] if len(args) == 1 and not kwargs else (args, kwargs))

    def on_return(self, path: str, output: Any) -> None:
        """Note the shapes of a module's first output."""
        self.outputs[path] = _shapes(output)


def plain_shapes(by_path: dict[str, Sequence[Sequence[int]]]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return shapes without objects of torch."""
    return {path: tuple(map(tuple, shapes)) for path, shapes in by_path.items()}


def _shapes(value: Any) -> Sequence[Sequence[int]]:
    """List the shapes of the tensors in arguments or an output: in nested lists, tuples and mappings.

    Under ``torch.jit.trace`` there are none: reading a shape would add an operator to the program that is traced.
    """
    if _tracing_state() is not None:
        return ()
    if type(value) is _Tensor:
        try:
            return (value.shape,)
        except RuntimeError:  # a nested tensor
            return ()
    if isinstance(value, _Tensor):
        return () if value.is_nested else (tuple(map(int, value.shape)),)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [shape for item in value for shape in _shapes(item)]
    return ()
