"""What a training step consists of: its optimizer, frozen parameters and activation checkpointing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from profiler.errors import InputError, UnknownNameError
from profiler.run.allocator import with_allocator_peak
from profiler.run.training_step import count_step, run_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch.optim import Optimizer

    from profiler.tally import Profile


@dataclass(frozen=True, slots=True)
class StepOptions:
    """A training step in words; calling it counts that step of a model."""

    #: Name of an optimizer of ``torch.optim`` in lower case; None leaves the optimizer's step out.
    optimizer: str | None = None
    #: Run the top-level blocks under activation checkpointing.
    checkpoint: bool = False
    #: Patterns of parameter names that get no gradients.
    freeze: tuple[str, ...] = ()

    def __call__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
        """Count a training step of *model* in train mode; on CUDA also measure the allocator's peak.

        Raises:
            InputError: A pattern matches no parameter, or the model has no blocks to checkpoint.
            UnknownNameError: ``torch.optim`` has no such optimizer.
            ModelError: The model raised.
        """
        model.train()
        freeze(model, self.freeze)
        optimizer = make_optimizer(self.optimizer, model) if self.optimizer else None
        with ExitStack() as stack:
            if self.checkpoint:
                stack.enter_context(checkpointed(model))
            profile = count_step(model, *args, optimizer=optimizer, **kwargs)
            return with_allocator_peak(profile, partial(run_step, model, args, kwargs, optimizer=optimizer))


def make_optimizer(name: str, model: nn.Module) -> Optimizer:
    """Make one of ``torch.optim`` by its name in small letters, with its defaults.

    Raises:
        UnknownNameError: There is none of this name.
    """
    kinds = {kind.__name__.lower(): kind for kind in vars(torch.optim).values() if _is_optimizer(kind)}
    if name.lower() not in kinds:
        what = "optimizer"
        raise UnknownNameError(what, name, kinds)
    trainable = [p for p in model.parameters() if p.requires_grad]
    options = {"lr": 0.01} if name.lower() == "sgd" else {}
    optimizer: Optimizer = kinds[name.lower()](trainable, **options)
    return optimizer


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Take the gradients of the parameters whose names match one of *patterns* (``*`` stands for anything).

    Raises:
        InputError: A pattern matches nothing.
    """
    for pattern in patterns:
        matched = [p for name, p in model.named_parameters() if fnmatchcase(name, pattern)]
        if not matched:
            names = [name for name, _ in model.named_parameters()]
            msg = f"--freeze {pattern!r} matches no parameter; such as {', '.join(names[:3])}"
            raise InputError(msg)
        for parameter in matched:
            parameter.requires_grad_(False)


@contextmanager
def checkpointed(model: nn.Module) -> Iterator[list[str]]:
    """Run the top-level blocks of *model* under activation checkpointing (not reentrant), and name them.

    A block is a child of the outermost list or sequence that holds several modules of one class, themselves with
    children: the layers of a transformer, the residual blocks of a ResNet.

    Raises:
        InputError: The model has no such blocks.
    """
    blocks = dict(_blocks(model))
    if not blocks:
        msg = "no blocks to checkpoint: no list or sequence holds several modules of one class that have children"
        raise InputError(msg)
    with ExitStack() as stack:
        for block in blocks.values():
            block.__dict__["forward"] = partial(checkpoint, block.forward, use_reentrant=False)
            stack.callback(block.__dict__.pop, "forward")
        yield list(blocks)


def _blocks(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    children = dict(module.named_children())
    kinds = [type(child) for child in children.values() if any(True for _ in child.children())]
    repeated = isinstance(module, (nn.ModuleList, nn.Sequential)) and len(kinds) > len(set(kinds))
    for name, child in children.items():
        inner = f"{path}.{name}" if path else name
        if repeated and kinds.count(type(child)) > 1:
            yield inner, child
        else:
            yield from _blocks(child, inner)


def _is_optimizer(kind: Any) -> bool:
    base = torch.optim.Optimizer
    return isinstance(kind, type) and issubclass(kind, base) and kind is not base
