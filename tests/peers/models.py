"""Small models and cases that the tests of several peers use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peers.peer_cases import given
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.peers.runner import ModelFactory


class FunctionModule(nn.Module):
    """A module whose forward calls a function: on its inputs, or on a submodule and its inputs."""

    def __init__(self, function: Callable[..., Any], inside: nn.Module | None = None) -> None:
        super().__init__()
        self.function = function
        self.inside = inside

    def forward(self, *args: Any) -> Any:
        return self.function(*args) if self.inside is None else self.function(self.inside, *args)


class LinearSubclass(nn.Linear):
    """A Linear under another class name."""


def call(function: Callable[..., Any], *shapes: tuple[int, ...]) -> ModelFactory:
    """Return the case of a function on ones of these shapes."""
    return lambda: given(FunctionModule(function), *(torch.ones(shape) for shape in shapes))


def layer(make: Callable[[], nn.Module], *shape: int) -> ModelFactory:
    """Return the case of a layer on ones of this shape."""
    return lambda: given(make(), torch.ones(shape))


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Call ``torch.matmul`` by its current name, as a model does: a peer may have patched it."""
    return torch.matmul(a, b)


def encoder_layer(**settings: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **settings)


def padded_encoder() -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]]:
    """Return an encoder and a padded batch (5 and 3 steps), which becomes a nested tensor inside the encoder."""
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    return given(nn.TransformerEncoder(encoder_layer(), 1), torch.ones(2, 5, 8), None, mask)
