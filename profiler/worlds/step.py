"""``Step``: the model and the step that every rank of a world runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.run.selective_checkpoint import Checkpointing


@dataclass(frozen=True, slots=True)
class Step:
    """The model and the step that every rank of a world runs."""

    target: str
    specs: tuple[str, ...] = ()
    #: The batch of one data-parallel rank, of all its microbatches; None for one default batch per microbatch.
    batch: int | None = None
    dtype: str | None = None
    #: Run a training step; otherwise a forward pass.
    train: bool = False
    optimizer: str | None = None
    checkpoint: Checkpointing = False
    freeze: tuple[str, ...] = ()
    #: So many of the model's repeated blocks are left; None for all.
    blocks: int | None = None
