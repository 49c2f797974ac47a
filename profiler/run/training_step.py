"""``count_step()``: one training step, with the state of model and optimizer preserved."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError
from profiler.run.forward import recording
from profiler.tally import tally
from profiler.trace import Session
from profiler.trace.preserve_state import preserve_training_state
from profiler.values.memory import estimate_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from torch.optim import Optimizer

    from profiler.tally import Profile
    from profiler.values.memory import Memory

    Loss = Callable[[Any], torch.Tensor]


def count_step(
    model: nn.Module, *args: Any, loss: Loss | None = None, optimizer: Optimizer | None = None, **kwargs: Any
) -> Profile:
    """Run one training step of *model*, and give its profile: forward, backward, and the optimizer's step if given.

    The model runs in the mode that it is in. Its parameters, gradients and buffers, the optimizer's state and the
    random state are afterwards what they were: they are copied first, which takes as much memory again.

    Args:
        model: The model.
        *args: What its forward takes.
        loss: From the output to the loss; if not given, the output's own ``loss``, or the sum of its floating tensors.
        optimizer: One over the model's parameters.
        **kwargs: What its forward takes by name.

    Raises:
        InputError: The optimizer has other parameters, or the loss needs no gradient.
        ModelError: The model raised; the error is its cause.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> p = count_step(model, torch.empty(4, 20, device="meta"), optimizer=torch.optim.SGD(model.parameters()))
        >>> p.phases["forward"].macs, p.phases["backward"].macs, p.phases["optimizer"].other_flops
        (2400, 2400, 1260)
    """
    if optimizer is not None:
        _check_parameters(optimizer, model)
    session = Session(model)
    with preserve_training_state(model, optimizer), recording(model, session):
        run_step(model, args, kwargs, loss=loss, optimizer=optimizer)
    profile = tally(session.trace())
    return replace(profile, memory=_with_estimate(profile, optimizer))


def run_step(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
) -> None:
    """Run one training step, and leave what it does.

    Raises:
        InputError: The loss needs no gradient.
    """
    with torch.enable_grad():
        found = (loss or default_loss)(model(*args, **kwargs))
        if not found.requires_grad:
            msg = "the loss needs no gradient: every parameter is frozen, or the model detaches its output"
            raise InputError(msg)
        found.backward()
        if optimizer is not None:
            optimizer.step()


def default_loss(output: Any) -> torch.Tensor:
    """Give the output's own ``loss``, or the sum of its floating tensors.

    Raises:
        InputError: There is none.
    """
    own = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    if isinstance(own, torch.Tensor):
        return own
    found = [tensor.sum() for tensor in _floating(output)]
    if not found:
        msg = "the output has no floating tensor to make a loss of; pass loss=, a function from the output to a scalar"
        raise InputError(msg)
    return torch.stack(found).sum() if len(found) > 1 else found[0]


def _check_parameters(optimizer: Optimizer, model: nn.Module) -> None:
    mine = {id(p) for p in model.parameters()}
    others = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in mine]
    if others:
        msg = f"the optimizer has {len(others)} parameters that are not the model's; make it over model.parameters()"
        raise InputError(msg)


def _with_estimate(found: Profile, optimizer: Optimizer | None) -> Memory | None:
    """Put the classical estimate beside what was live, where it has a rule for this optimizer and dtype."""
    name = type(optimizer).__name__.lower() if optimizer is not None else "sgd"
    if found.memory is None or len(found.params_by_dtype) != 1:
        return found.memory
    with suppress(InputError):
        return replace(found.memory, estimate=estimate_training(found.totals.params, found.params_by_dtype[0][0], name))
    return found.memory


def _floating(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        yield from _floating(list(output.values()))
    elif isinstance(output, (list, tuple)):
        for item in output:
            yield from _floating(item)
