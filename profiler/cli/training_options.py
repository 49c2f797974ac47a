"""The options ``--train``, ``--optimizer``, ``--checkpoint``, ``--freeze``, ``--lora``: count a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.cli.subjects import TRAINING
from profiler.errors import InputError
from profiler.util.quick_imports import import_quickly

if TYPE_CHECKING:
    from profiler.run.step_options import StepOptions
    from profiler.tally import Profile
    from profiler.worlds.step import Step

_TRAIN = (
    "Count a training step: forward in train mode, the loss (the model's own, or the sum of its output) and backward."
)
_OPTIMIZER = "With --train: also count the step of an optimizer of torch.optim, such as `adamw` or `sgd`."
_CHECKPOINT = "With --train: run the top-level blocks under activation checkpointing; shows what it saves and costs."
_FREEZE = "With --train: names of parameters to freeze (no gradients); `*` matches anything. Can be repeated."
_LORA = "With --train: freeze the model and train adapters: `r=16`, or `r=16,targets=q_proj,v_proj`; needs peft."
_SAVINGS = (
    "With --train: what would save memory: checkpointing, 8-bit optimizer states, LoRA, bfloat16 weights and half the "
    "batch, each by running the step again on meta."
)


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What the training step consists of; without --train a forward pass is counted."""

    train: Annotated[bool, Parameter(help=_TRAIN)] = False
    optimizer: Annotated[str | None, Parameter(help=_OPTIMIZER)] = None
    checkpoint: Annotated[bool, Parameter(help=_CHECKPOINT)] = False
    freeze: Annotated[tuple[str, ...], Parameter(help=_FREEZE)] = ()
    lora: Annotated[str | None, Parameter(help=_LORA)] = None
    savings: Annotated[bool, Parameter(help=_SAVINGS)] = False

    def check(self) -> None:
        """Raise if an option of a training step is given without --train.

        Raises:
            InputError: --train is missing.
        """
        needing = {
            "--optimizer": self.optimizer, "--checkpoint": self.checkpoint, "--freeze": self.freeze,
            "--lora": self.lora, "--savings": self.savings,
        }  # fmt: skip
        given = " and ".join(name for name, value in needing.items() if value)
        if given and not self.train:
            msg = f"{given} needs a training step; add --train"
            raise InputError(msg)
        if self.lora is not None:
            import_quickly("torch")
            from profiler.run.lora import parse_lora

            parse_lora(self.lora)

    def step(self, target: str, specs: tuple[str, ...], batch: int | None, dtype: str | None) -> Step:
        """Return the step that the ranks of a world run."""
        if self.lora is not None or self.savings:
            msg = "--lora and --savings do not apply to the ranks of a world; remove them, or --world and --mesh"
            raise InputError(msg)
        from profiler.worlds.step import Step

        return Step(target, specs, batch, dtype, self.train, self.optimizer, self.checkpoint, self.freeze)

    @property
    def run(self) -> StepOptions | None:
        """What to do with the model instead of a forward pass; None for a forward pass."""
        if not self.train:
            return None
        from profiler.run.lora import parse_lora
        from profiler.run.step_options import StepOptions

        lora = None if self.lora is None else parse_lora(self.lora)
        return StepOptions(self.optimizer, self.checkpoint, self.freeze, lora)

    def add_savings(
        self, profile: Profile, target: str, specs: tuple[str, ...], batch: int | None, dtype: str | None,
        autocast: str | None,
    ) -> Profile:  # fmt: skip
        """Return the profile with what changes of the step save: those that it has, and with --savings others."""
        run = self.run
        if run is None:
            return profile
        from profiler.run.savings import StepRequest, with_savings

        return with_savings(profile, StepRequest(target, run, specs, batch, dtype, autocast), all_changes=self.savings)


FORWARD_ONLY = TrainingOptions()
