"""What is recorded of a call of a module, and of a call of a public function of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from profiler.values.records import Value


class FunctionCall(NamedTuple):
    """A distinct call of a public function."""

    #: The name by which it was called: ``torch.nn.functional.relu``.
    name: str
    #: The path of the module that called it.
    module: str
    inputs: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]
    output: Value


class ModuleCall(NamedTuple):
    """A distinct call of a module: the specs of its positional inputs and of its output."""

    inputs: tuple[Value, ...]
    output: Value
