"""Stages of a pipeline: which blocks of a model a stage keeps, and how it is called with the output of the one before.

Two kinds of model can be divided: a causal language model of transformers that has a plan for it, and an
``nn.Sequential``. A stage keeps the paths of its modules, so that its rows are those of the whole model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from profiler.errors import InputError, ModelError, one_line

_WHICH = "a pipeline divides causal language models of transformers and nn.Sequential"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipeline."""

    index: int
    stages: int
    #: The model with the blocks of this stage alone, which takes and returns one tensor.
    model: nn.Module
    #: One microbatch of what it takes and returns, on meta.
    takes: torch.Tensor
    returns: torch.Tensor

    @property
    def is_first(self) -> bool:
        """Whether it takes the model's input."""
        return self.index == 0

    @property
    def is_last(self) -> bool:
        """Whether it returns the model's output."""
        return self.index == self.stages - 1


def make_stage(
    model: nn.Module, index: int, stages: int, microbatch: torch.Tensor, dtype: torch.dtype | None = None
) -> Stage:
    """Remove from *model* what does not belong to a stage, and return the stage.

    Args:
        model: The whole model on meta.
        index: Number of the stage.
        stages: The number of stages.
        microbatch: The model's input for one microbatch, on meta.
        dtype: The dtype of what stages exchange, if it is not that of the parameters.

    Raises:
        InputError: The model has no known stages, or its blocks do not divide.
    """
    if isinstance(model, nn.Sequential):
        return _sequential_stage(model, index, stages, microbatch, dtype)
    if getattr(model, "_pp_plan", None) and hasattr(getattr(model, "base_model", None), "layers"):
        return _transformer_stage(model, index, stages, microbatch, dtype)
    msg = f"{type(model).__name__} has no known stages; {_WHICH}"
    raise InputError(msg)


def block_range(blocks: int, index: int, stages: int, *, may_lack_blocks: bool = False) -> range:
    """Return which of the blocks a stage has: as many as the others, or one fewer in the first and the last stage.

    The embedding and the head take the place of a block there, as in Llama 3 405B: 126 blocks in 16 stages. Where they
    are beside the blocks, the first and the last stage may have nothing else: 126 blocks in 128 stages.

    Raises:
        InputError: The blocks divide in neither way.

    Example:
        >>> block_range(8, 1, 4), block_range(6, 0, 4), block_range(6, 1, 4)
        (range(2, 4), range(0, 1), range(1, 3))
        >>> [len(block_range(2, index, 4, may_lack_blocks=True)) for index in range(4)]
        [0, 1, 1, 0]
    """
    if blocks < stages - 2 * may_lack_blocks:
        msg = f"{blocks} blocks do not fill {stages} stages of a pipeline; use fewer"
        raise InputError(msg)
    if blocks % stages == 0:
        each = blocks // stages
        return range(index * each, (index + 1) * each)
    if (blocks + 2) % stages == 0 and stages > 2:  # noqa: PLR2004 - with two stages both would have one fewer
        each = (blocks + 2) // stages
        return range(max(0, index * each - 1), min(blocks, (index + 1) * each - 1))
    msg = f"{blocks} blocks do not divide into {stages} stages, nor do {blocks} + 2 with the embedding and the head"
    raise InputError(msg)


def _sequential_stage(
    model: nn.Sequential, index: int, stages: int, microbatch: torch.Tensor, dtype: torch.dtype | None
) -> Stage:
    kept = block_range(len(model), index, stages)
    children = dict(model.named_children())
    takes = returns = microbatch
    try:
        with torch.no_grad():
            for number, child in enumerate(children.values()):
                takes = returns if number == kept.start else takes
                returns = child(returns) if number < kept.stop else returns
    except Exception as error:
        msg = f"the shapes between the stages are unknown: {one_line(error)}"
        raise ModelError(msg) from error
    for number, name in enumerate(children):
        if number not in kept:
            del model._modules[name]
    return Stage(index, stages, model, takes if index == 0 else takes.to(dtype), returns.to(dtype))


def _transformer_stage(
    model: Any, index: int, stages: int, microbatch: torch.Tensor, dtype: torch.dtype | None
) -> Stage:
    base, config, dtype = model.base_model, model.config, dtype or model.dtype
    names = list(base.layers._modules)
    kept = {names[number] for number in block_range(len(names), index, stages, may_lack_blocks=True)}
    for name in names:
        if name not in kept:
            del base.layers._modules[name]
    hidden = torch.empty(*microbatch.shape[:2], config.hidden_size, dtype=dtype, device="meta")
    is_first, is_last = index == 0, index == stages - 1
    if not is_first:
        base.embed_tokens = None
    returns = hidden
    if is_last:
        returns = torch.empty(*microbatch.shape[:2], config.vocab_size, dtype=dtype, device="meta")
    else:
        base.norm, model.lm_head = nn.Identity(), None
    _take_one_tensor(model, "input_ids" if is_first else "inputs_embeds", has_head=is_last)
    return Stage(index, stages, model, microbatch if is_first else hidden, returns)


def _take_one_tensor(part: Any, argument: str, *, has_head: bool) -> None:
    """Let a part of a language model take token ids, or the hidden states of the part before, and return one tensor.

    A part without the head returns its hidden states. It is not wrapped in another module: torch's schedule reduces
    gradients once a step only if FSDP2 was applied to the module that it calls.
    """
    forward, name = (part.forward, "logits") if has_head else (part.base_model, "last_hidden_state")

    def of_one_tensor(given: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = forward(**{argument: given}, use_cache=False)[name]
        return output

    part.forward = of_one_tensor
