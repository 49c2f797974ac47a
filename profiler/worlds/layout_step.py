"""The step of a search for layouts: one sequence of tokens, or one sample of another input, as a microbatch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from profiler.errors import InputError
from profiler.targets import TensorInput, resolve
from profiler.targets.input_specs import Spec, parse
from profiler.worlds.layout_candidates import Search
from profiler.worlds.shortened import longest_sequence
from profiler.worlds.step import Step

if TYPE_CHECKING:
    from profiler.projection.mode import Mode

_SEQUENCE = 8192
_TOKENS = 2  # dimensions of a tensor of tokens: batch and sequence


def search_of(
    target: str,
    world: int,
    device: str,
    batch_tokens: float,
    *,
    sequence: int | None = None,
    spec: str | None = None,
    optimizer: str | None = "adamw",
    checkpoint: bool | None = None,
    mode: Mode | None = None,
    dtype: str | None = None,
) -> Search:
    """Return the search for the layouts of a model.

    Args:
        target: The model, as on the command line.
        world: The number of devices.
        device: The device.
        batch_tokens: Tokens of a step of the whole world; samples, if the model's input is not tokens.
        sequence: Tokens of a sequence; None for 8192, or the most that the model takes.
        spec: The input of one microbatch, as for ``--input``; None for a sequence, or the model's default input.
        optimizer: Name of an optimizer of ``torch.optim``.
        checkpoint: Whether blocks are checkpointed; None to try both.
        mode: How the model runs.
        dtype: Floating dtype of the parameters; None keeps the model's own.

    Raises:
        InputError: A number is out of range, or a sequence is given for a model without tokens.
    """
    if not (math.isfinite(batch_tokens) and batch_tokens >= 1):
        msg = f"a batch of {batch_tokens:g} tokens is none; write for example --batch-tokens 4e6"
        raise InputError(msg)
    if sequence is not None and (sequence < 1 or spec is not None):
        msg = f"--sequence {sequence} is the length of a sequence of tokens, 1 or more; it does not go with --input"
        raise InputError(msg)
    specs, each = _one_sequence(target, sequence, dtype) if spec is None else ((spec,), _tokens(parse(spec)))
    step = Step(target, specs, 1, dtype, train=True, optimizer=optimizer)
    return Search(step, world, device, round(batch_tokens), each, checkpoint, mode)


def _one_sequence(target: str, sequence: int | None, dtype: str | None) -> tuple[tuple[str, ...], int]:
    """Return the input specifications of one sequence, or none for a sample of a model without tokens; and its tokens.

    Raises:
        InputError: A sequence is given for a model without tokens.
    """
    name = _token_input(target)
    if name is None and sequence is not None:
        msg = f"--sequence {sequence} does not apply to {target}, which takes no token ids"
        raise InputError(msg)
    if name is None:
        return (), 1
    tokens = sequence or min(_SEQUENCE, longest_sequence(target, dtype) or _SEQUENCE)
    return (f"{name}=1x{tokens}",), tokens


def _tokens(spec: Spec) -> int:
    """Return the tokens of one microbatch; 1, a sample, if the input is not of integers."""
    if not (spec.dtype or "").startswith("int"):
        return 1
    return math.prod(spec.shape[1:] if spec.name else spec.shape)


def _token_input(target: str) -> str | None:
    """Return the name of the model's first input, if it is token ids."""
    first = next(iter(resolve(target).inputs), None)
    value = first.value if first is not None else None
    if not isinstance(value, TensorInput) or value.dtype != "int64" or len(value.shape) != _TOKENS:
        return None
    return first.name if first is not None else None
