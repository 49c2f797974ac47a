"""What a name resolves to: how to build its module, and its default inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@dataclass(frozen=True, slots=True)
class TensorInput:
    """A tensor to be created for an input."""

    #: The full shape, with the batch first.
    shape: tuple[int, ...]
    #: Name of a dtype, such as "int64"; None for the model's floating dtype.
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a module's ``forward``."""

    #: A ``TensorInput``, a tensor with values of its own, or a nested structure with some in it; other values are
    #: passed unchanged.
    value: Any
    #: None if positional.
    name: str | None = None
    #: Pass a list with one tensor per sample, as detection models take it: the tensor is split along its first
    #: dimension.
    as_list: bool = False


@dataclass(frozen=True, slots=True)
class ModuleWithInputs:
    """A module, and the inputs that its factory returned beside it."""

    module: nn.Module
    #: As ``given_inputs.arguments_of`` reads them.
    inputs: Any


@dataclass(frozen=True, slots=True)
class Target:
    """A model that can be built and called."""

    #: As the user wrote it.
    name: str
    #: Build the module. It is called under the device and the seed that ``build`` sets.
    construct: Callable[[], nn.Module | ModuleWithInputs]
    #: The default inputs; empty if unknown.
    inputs: tuple[Argument, ...] = ()
    #: "cpu" if the amount of work depends on values of tensors, which ``meta`` does not have.
    prefers: Literal["meta", "cpu"] = "meta"
    #: A remark on the model or its input that readers of its counts need.
    note: str = ""
