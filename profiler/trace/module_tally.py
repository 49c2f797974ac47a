"""How often each module was called, and on which shapes at first."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch


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
            plain = _plain_shape(args[0]) if len(args) == 1 and not kwargs else ()
            self.inputs[path] = plain or tuple(_shapes((args, kwargs)))

    def on_return(self, path: str, output: Any) -> None:
        """Note the shapes of a module's first output."""
        self.outputs[path] = _plain_shape(output) or tuple(_shapes(output))


def _plain_shape(output: Any) -> tuple[tuple[int, ...], ...]:
    """Return the shape of what is one plain tensor, as most arguments and outputs are; empty for anything else."""
    if type(output) is torch.Tensor and not output.is_nested and torch._C._get_tracing_state() is None:
        return (tuple(output.shape),)
    return ()


def _shapes(value: Any) -> list[tuple[int, ...]]:
    """List the shapes of the tensors in arguments or an output: in nested lists, tuples and mappings.

    Under ``torch.jit.trace`` there are none: reading a shape would add an operator to the program that is traced.
    """
    if torch._C._get_tracing_state() is not None:
        return []
    if isinstance(value, torch.Tensor):
        return [] if value.is_nested else [tuple(map(int, value.shape))]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [shape for item in value for shape in _shapes(item)]
    return []
