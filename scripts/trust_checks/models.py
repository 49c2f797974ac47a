"""Sixty small models, each with its inputs, that hold every kind of state a model can hold."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import count, islice
from typing import Any

import numpy as np
import torch
import torchvision
from random_models import random_model
from random_models.wrappers import Chosen
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

#: How many of the models are random ones.
_RANDOM = 30


@dataclass(frozen=True, slots=True)
class Case:
    """A model and the inputs of its forward.

    Attributes:
        name: What is said if something is lost.
        model: The model.
        args: Its positional arguments.
    """

    name: str
    model: nn.Module
    args: tuple[Any, ...]


class Draws(nn.Module):
    """A model that draws from every generator, and changes attributes, buffers and flags."""

    def __init__(self) -> None:
        """Make what is changed."""
        super().__init__()
        self.layer, self.norm = nn.Linear(8, 8), nn.BatchNorm1d(8)
        self.register_buffer("seen", torch.zeros(1))
        self.calls, self.history = 0, []
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a value that depends on the generators."""
        self.calls += 1
        self.history.append(tuple(x.shape))
        self.seen = self.seen + x.detach().mean()
        self.extra = x.detach()
        noise = torch.rand(8) + torch.rand(8, generator=self.generator) + random.random() + float(np.random.rand())  # noqa: NPY002, S311
        return self.norm(self.layer(x)) + noise


class Again(nn.Module):
    """A model with activation checkpoints of both kinds."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the result of two checkpoints."""
        x = checkpoint(self.first, x.requires_grad_() if not x.requires_grad else x, use_reentrant=True)
        return checkpoint(self.second, x, use_reentrant=False)


class Hooked(nn.Module):
    """A model with hooks of the user's own, of all kinds."""

    def __init__(self) -> None:
        """Register the hooks."""
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.layer.register_forward_pre_hook(lambda *_: None)
        self.layer.register_forward_hook(lambda *_: None)
        self.layer.register_full_backward_hook(lambda *_: None)
        self.layer.weight.register_hook(lambda gradient: gradient * 1)
        self.register_state_dict_post_hook(lambda *_: None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the layer makes of it."""
        return self.layer(x)


class First(nn.Module):
    """The first of several results of a module."""

    def __init__(self, module: nn.Module) -> None:
        """Hold the module."""
        super().__init__()
        self.module = module

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        """Return the first result."""
        return self.module(*args)[0]


class Attention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        """Make the layer."""
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values."""
        return self.layer(x, x, x)[0]


def cases() -> dict[str, Callable[[], Case]]:
    """Return what builds each model, by its name; it is the same one each time."""
    plain = {name: partial(_built, name) for name in _plain()}
    vision = {name: partial(_vision, name) for name in _VISION}
    return plain | vision | {f"random model {seed}": partial(_random, seed) for seed in _random_seeds()}


def _built(name: str) -> Case:
    torch.manual_seed(0)
    make, args = _plain()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that torch deprecates
        return Case(name, make(), args)


_VISION = ("squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5")


def _vision(name: str) -> Case:
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, num_classes=10)
    return Case(name, model, (torch.randn(2, 3, 64, 64),))


@cache
def _random_seeds() -> tuple[int, ...]:
    """Return the seeds of random models without `torch.cond`, which compiles where nobody counts."""
    plain = (
        seed for seed in count() if not any(isinstance(part, Chosen) for part in random_model(seed).model.modules())
    )
    return tuple(islice(plain, _RANDOM))


def _random(seed: int) -> Case:
    made = random_model(seed)
    return Case(f"random model {seed}", made.model, (made.x,))


def _plain() -> dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]]:
    rows, line, image, words = (
        torch.randn(4, 8),
        torch.randn(4, 8, 16),
        torch.randn(2, 3, 16, 16),
        torch.randint(9, (2, 5)),
    )
    sequence = torch.randn(2, 5, 8)
    return {
        "linear": (lambda: nn.Linear(8, 4), (rows,)),
        "draws": (Draws, (rows,)),
        "checkpoints": (Again, (rows,)),
        "hooks": (Hooked, (rows,)),
        "batch norm": (lambda: nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)), (rows,)),
        "eval": (lambda: nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8).eval(), nn.Dropout(0.5)), (rows,)),
        "frozen": (lambda: nn.Sequential(nn.Linear(8, 8).requires_grad_(False), nn.Linear(8, 8)), (rows,)),
        "instance norm": (lambda: nn.InstanceNorm1d(8, affine=True, track_running_stats=True), (line,)),
        "group norm": (lambda: nn.Sequential(nn.Conv1d(8, 8, 3), nn.GroupNorm(2, 8)), (line,)),
        "convolution": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True)), (image,)),
        "transposed": (lambda: nn.ConvTranspose2d(3, 6, 3), (image,)),
        "lstm": (lambda: First(nn.LSTM(8, 6, 2, dropout=0.5, batch_first=True)), (sequence,)),
        "gru": (lambda: First(nn.GRU(8, 6, bidirectional=True)), (sequence,)),
        "attention": (Attention, (sequence,)),
        "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (sequence,)),
        "encoder in eval": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), (sequence,)),
        "embedding": (lambda: nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 4)), (words,)),
        "sparse gradients": (lambda: nn.Embedding(10, 8, sparse=True), (words,)),
        "maximal norm": (lambda: nn.Sequential(nn.Embedding(10, 8, max_norm=0.1), nn.Linear(8, 4)), (words,)),
        "bag": (lambda: nn.EmbeddingBag(10, 8), (words,)),
        "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(8, 8)), (rows,)),
        "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(8, 8)), (rows,)),
        "lazy": (lambda: nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d()), (rows,)),
        "double": (lambda: nn.Linear(8, 4).double(), (rows.double(),)),
        "complex": (lambda: nn.Linear(8, 4).to(torch.complex64), (rows.to(torch.complex64),)),
        "bfloat16": (lambda: nn.Linear(8, 4).bfloat16(), (rows.bfloat16(),)),
    }
