"""How often each module was called, and on which shapes at first."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

#: Named here, where every call of a module reads them.
_Tensor = torch.Tensor
_tracing_state = torch._C._get_tracing_state


class ModuleTally:
    """The calls of modules, by path."""

    def __init__(self) -> None:
        """Start without a call."""
        self.counts: defaultdict[str, int] = defaultdict(int)
        #: The shapes of the tensors among the arguments of each module's first call.
        self.inputs: dict[str, tuple[tuple[int, ...], ...]] = {}
        #: The shapes of the tensors in each module's first output.
        self.outputs: dict[str, tuple[tuple[int, ...], ...]] = {}

    def on_call(self, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Count a call of a module, and note the shapes of the first."""
        self.counts[path] += 1
        if path not in self.inputs:
            only = args[0] if len(args) == 1 and not kwargs else None
            if type(only) is _Tensor and not only.is_nested and _tracing_state() is None:
                self.inputs[path] = (tuple(only.shape),)
            else:
                self.inputs[path] = tuple(_shapes((args, kwargs)))

    def on_return(self, path: str, output: Any) -> None:
        """Note the shapes of a module's first output."""
        if type(output) is _Tensor and not output.is_nested and _tracing_state() is None:
            self.outputs[path] = (tuple(output.shape),)
        else:
            self.outputs[path] = tuple(_shapes(output))


def _shapes(value: Any) -> list[tuple[int, ...]]:
    """List the shapes of the tensors in arguments or an output: in nested lists, tuples and mappings.

    Under ``torch.jit.trace`` there are none: reading a shape would add an operator to the program that is traced.
    """
    if _tracing_state() is not None:
        return []
    if isinstance(value, torch.Tensor):
        return [] if value.is_nested else [tuple(map(int, value.shape))]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [shape for item in value for shape in _shapes(item)]
    return []
