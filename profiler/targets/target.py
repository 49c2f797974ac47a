"""What a name resolves to: how to build its module, and its default inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import nn


@dataclass(frozen=True, slots=True)
class TensorInput:
    """A tensor to be created for an input."""

    #: The full shape, with the batch first.
    shape: tuple[int, ...]
    #: Name of a dtype, such as "int64"; None for the model's floating dtype.
    dtype: str | None = None
    #: Runs of numbers with which each row along the last dimension begins, as (number, times); the rest is as usual.
    starts_with: tuple[tuple[int, int], ...] = ()
    #: How many of the first dimension belong to one sample.
    rows: int = 1

    def with_batch(self, batch: int) -> TensorInput:
        """Return the tensor for so many samples."""
        return replace(self, shape=(batch * self.rows, *self.shape[1:])) if self.shape else self


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a module's ``forward``."""

    #: A ``TensorInput``, a tensor with values of its own, or a nested structure with some in it; other values are
    #: passed unchanged.
    value: Any
    #: None if positional.
    name: str | None = None
    #: The name of another argument, with whose default it comes: it is left out if that is replaced.
    comes_with: str | None = None
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
    #: Return a remark on a call with arguments of these names: what of the model they leave out.
    left_out: Callable[[Collection[str]], str] = lambda _: ""
