"""The options ``--train``, ``--optimizer``, ``--checkpoint``, ``--freeze``: count a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.cli.subjects import TRAINING
from profiler.errors import InputError

if TYPE_CHECKING:
    from profiler.run.runner import Run
    from profiler.worlds.step import Step

_TRAIN = (
    "Count a training step: forward in train mode, the loss (the model's own, or the sum of its output) and backward."
)
_OPTIMIZER = "With --train: also count the step of an optimizer of torch.optim, such as `adamw` or `sgd`."
_CHECKPOINT = "With --train: run the top-level blocks under activation checkpointing."
_FREEZE = "With --train: names of parameters to freeze (no gradients); `*` matches anything. Can be repeated."


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What the training step consists of; without --train a forward pass is counted."""

    train: Annotated[bool, Parameter(help=_TRAIN)] = False
    optimizer: Annotated[str | None, Parameter(help=_OPTIMIZER)] = None
    checkpoint: Annotated[bool, Parameter(help=_CHECKPOINT)] = False
    freeze: Annotated[tuple[str, ...], Parameter(help=_FREEZE)] = ()

    def check(self) -> None:
        """Raise if an option of a training step is given without --train.

        Raises:
            InputError: --train is missing.
        """
        if not self.train and (self.optimizer is not None or self.checkpoint or self.freeze):
            msg = "--optimizer, --checkpoint and --freeze apply to a training step only; add --train"
            raise InputError(msg)

    def step(self, target: str, specs: tuple[str, ...], batch: int | None, dtype: str | None) -> Step:
        """Return the step that the ranks of a world run."""
        from profiler.worlds.step import Step

        return Step(target, specs, batch, dtype, self.train, self.optimizer, self.checkpoint, self.freeze)

    @property
    def run(self) -> Run | None:
        """What to do with the model instead of a forward pass; None for a forward pass."""
        if not self.train:
            return None
        from profiler.run.step_options import StepOptions

        return StepOptions(self.optimizer, self.checkpoint, self.freeze)


FORWARD_ONLY = TrainingOptions()
