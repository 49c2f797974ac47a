"""What a name stands for: how to make its module, and what it is called with unless another input is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@dataclass(frozen=True, slots=True)
class TensorInput:
    """A tensor to be made: its whole shape, with the batch first, and the name of its dtype."""

    shape: tuple[int, ...]
    #: None is the floating dtype of the model.
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a module's ``forward``."""

    #: A ``TensorInput``, or a nested structure with some in it; what is no ``TensorInput`` is passed as it is.
    value: Any
    #: None is positional.
    name: str | None = None
    #: The module takes a list with one tensor a sample, as detection models do: the batch is split along its first
    #: dimension.
    as_list: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A model that can be built and called."""

    #: As the user wrote it.
    name: str
    #: Called where parameters go to the right device by themselves; see ``building``.
    construct: Callable[[], nn.Module]
    #: Empty where nothing is known of the input.
    inputs: tuple[Argument, ...] = ()
    #: "cpu" where the work depends on values, of which ``meta`` has none.
    prefers: Literal["meta", "cpu"] = "meta"
    #: What a reader of the numbers should know of the model or its input.
    note: str = ""
