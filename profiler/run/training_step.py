"""``count_step()``: one training step, after which the state of model and optimizer is restored."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError
from profiler.run.forward import record
from profiler.run.optimizers import optimizer_over
from profiler.trace.require_module import require_module
from profiler.util.uncompiled import uncompiled
from profiler.values.memory import estimate_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from torch.optim import Optimizer

    from profiler.tally import Profile
    from profiler.values.memory import Memory

    Loss = Callable[[Any], torch.Tensor]


@uncompiled
def count_step(
    model: nn.Module, *args: Any, loss: Loss | None = None, optimizer: Optimizer | str | None = None, **kwargs: Any
) -> Profile:
    """Run one training step of *model* and return its profile: forward, backward, and the optimizer's step if given.

    The model runs in its present mode: call ``model.train()`` first to count training. Afterwards everything that the
    model and the optimizer hold is restored, and so is the random state of Python, NumPy and torch. Gradients and
    buffers are copied first, and with an optimizer parameters and its state too: that takes as much memory again (none
    on ``meta``).

    With an optimizer, the step is one in the middle of training: if the optimizer has no states yet, a first step
    creates them, and the second is counted.

    The profile's ``phases`` are "forward", "backward", "recompute" (with activation checkpointing) and "optimizer".
    ``model_flops`` leaves the recompute out, as MFU does; ``hardware_flops`` has it, as HFU does. ``memory`` has the
    peak of live memory by category, and the rule-of-thumb estimate where one exists for this optimizer and dtype.

    Args:
        model: The model.
        *args: Positional arguments of its forward, on the model's device.
        loss: A function from the output to a scalar tensor. By default the output's own ``loss``, as transformers
            models return, or the sum of its floating-point tensors.
        optimizer: An optimizer over the model's parameters, or the name of one of ``torch.optim``, such as "adamw",
            with its default options; by default no optimizer step is run.
        **kwargs: Keyword arguments of its forward.

    Returns:
        The profile, which holds no reference to the model or its tensors.

    Raises:
        InputError: The model is no module, the optimizer has parameters that are not the model's, or the loss does not
            require gradients.
        UnknownNameError: ``torch.optim`` has no optimizer of that name.
        ModelError: The model raised; the original error is the ``__cause__``.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> p = count_step(model, torch.empty(4, 20, device="meta"), optimizer=torch.optim.SGD(model.parameters()))
        >>> p.phases["forward"].macs, p.phases["backward"].macs, p.phases["optimizer"].other_flops
        (2400, 2400, 1260)
    """
    require_module(model)
    stepped = optimizer_over(model, optimizer)
    run = partial(run_step, model, args, kwargs, loss=loss, optimizer=stepped)
    profile = record(model, run, stepped, trains=True)
    return replace(profile, memory=_with_estimate(profile, stepped))


def run_step(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
) -> None:
    """Run one training step without restoring anything.

    Raises:
        InputError: The loss does not require gradients.
    """
    with torch.enable_grad():
        value = (loss or default_loss)(model(*args, **kwargs))
        if not value.requires_grad:
            msg = "the loss does not require gradients: every parameter is frozen, or the model detaches its output"
            raise InputError(msg)
        value.backward()
        if optimizer is not None:
            optimizer.step()


def default_loss(output: Any) -> torch.Tensor:
    """Return the output's own ``loss``, or the sum of its floating-point tensors.

    Raises:
        InputError: The output has neither.
    """
    own = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    if isinstance(own, torch.Tensor):
        return own
    sums = [tensor.sum() for tensor in _floating_tensors(output)]
    if not sums:
        msg = "the output has no floating-point tensor to sum; pass loss=, a function from the output to a scalar"
        raise InputError(msg)
    return torch.stack(sums).sum() if len(sums) > 1 else sums[0]


def _with_estimate(profile: Profile, optimizer: Optimizer | None) -> Memory | None:
    """Return the profile's memory with the rule-of-thumb estimate, if there is one for this optimizer and dtype."""
    name = type(optimizer).__name__.lower() if optimizer is not None else "sgd"
    memory, dtypes = profile.memory, profile.params_by_dtype
    if memory is None or len(dtypes) != 1:
        return memory
    with suppress(InputError):
        return replace(memory, estimate=estimate_training(profile.totals.params, dtypes[0][0], name))
    return memory


def _floating_tensors(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        yield from _floating_tensors(list(output.values()))
    elif isinstance(output, (list, tuple)):
        for item in output:
            yield from _floating_tensors(item)
