"""Context managers that restore a model after a run: buffers, random state, gradients, parameters, training modes."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn
    from torch.optim import Optimizer


@contextmanager
def preserve_buffers_and_rng(model: nn.Module) -> Iterator[None]:
    """Restore buffers, such as BatchNorm's running statistics, and torch's random state when the block ends."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers() if not buffer.is_meta]
    with torch.random.fork_rng(enabled=True):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)


@contextmanager
def preserve_training_state(model: nn.Module, optimizer: Optimizer | None) -> Iterator[None]:
    """Restore gradients, and with an *optimizer* also parameters and its state, when the block ends.

    All of these are copied when the block begins, so they take twice their memory until it ends.
    """
    grads = [(p, p.grad, p.grad.clone() if p.grad is not None else p.new_empty(0)) for p in model.parameters()]
    values = [(p, p.detach().clone()) for p in model.parameters()] if optimizer is not None else []
    states = {p: deepcopy(state) for p, state in optimizer.state.items()} if optimizer is not None else {}
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, grad, value in grads:
                parameter.grad = grad
                if grad is not None:
                    grad.copy_(value)
            for parameter, value in values:
                parameter.copy_(value)
        if optimizer is not None:
            optimizer.state.clear()
            optimizer.state.update(states)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch every module to eval mode; restore the mode of each when the block ends."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
