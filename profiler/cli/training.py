"""The options ``--train``, ``--optimizer``, ``--checkpoint``, ``--freeze``: a training step for a forward pass."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from profiler.errors import InputError
from profiler.training import checkpointed, count_step, freeze, make_optimizer, step, with_allocator_peak

if TYPE_CHECKING:
    from torch import nn

    from profiler.counting import Run
    from profiler.tally import Profile

_TRAIN = "Count a training step: forward in train mode, the loss (the model's own, or the sum of its output), backward."
_OPTIMIZER = "With --train: also the step of an optimizer of torch.optim, such as `adamw` or `sgd`."
_CHECKPOINT = "With --train: run the top-level blocks under activation checkpointing."
_FREEZE = "With --train: parameters without gradients, by name; `*` stands for anything. May be given several times."


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Training:
    """What a training step is made of; without --train a forward pass is counted."""

    train: Annotated[bool, Parameter(help=_TRAIN)] = False
    optimizer: Annotated[str | None, Parameter(help=_OPTIMIZER)] = None
    checkpoint: Annotated[bool, Parameter(help=_CHECKPOINT)] = False
    freeze: Annotated[tuple[str, ...], Parameter(help=_FREEZE)] = ()

    def check(self) -> None:
        """Refuse the options of a step where none is asked for.

        Raises:
            InputError: --train is missing.
        """
        if not self.train and (self.optimizer or self.checkpoint or self.freeze):
            msg = "--optimizer, --checkpoint and --freeze are about a training step; add --train"
            raise InputError(msg)

    @property
    def run(self) -> Run | None:
        """What to do with the model in place of a forward pass; None for the forward pass."""
        return self._step if self.train else None

    def _step(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
        model.train()
        freeze(model, self.freeze)
        optimizer = make_optimizer(self.optimizer, model) if self.optimizer else None
        with ExitStack() as stack:
            if self.checkpoint:
                stack.enter_context(checkpointed(model))
            found = count_step(model, *args, optimizer=optimizer, **kwargs)
            return with_allocator_peak(found, partial(step, model, args, kwargs, optimizer=optimizer))


FORWARD = Training()
