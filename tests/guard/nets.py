"""Small models with plain costs, and their profiles."""

from __future__ import annotations

import torch
from torch import nn

import profiler

WIDTH = 8
#: Products of a square linear layer of one row.
SQUARE = WIDTH * WIDTH


def linear(out: int = WIDTH) -> nn.Linear:
    return nn.Linear(WIDTH, out, device="meta")


def named(**modules: nn.Module) -> nn.Sequential:
    model = nn.Sequential()
    for name, module in modules.items():
        model.add_module(name, module)
    return model


def block() -> nn.Module:
    return named(up=linear(), act=nn.ReLU(), down=linear())


def counted(model: nn.Module, rows: int = 1) -> profiler.Profile:
    return profiler.count(model, torch.empty(rows, WIDTH, device="meta"))
