"""The optimizer of a training step: made from its name, or checked to be one over the model's parameters."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError, UnknownNameError, one_line
from profiler.escaping import quoted
from profiler.trace.module_paths import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from torch.optim import Optimizer


def make_optimizer(name: str, model: nn.Module) -> Optimizer:
    """Return an optimizer of ``torch.optim`` over the trainable parameters of *model*, with its default options.

    The name may be in any case.

    Raises:
        UnknownNameError: ``torch.optim`` has no such optimizer.
        InputError: It cannot optimize this model, or needs a function that evaluates the model.
    """
    kind = optimizer_kind(name)
    trainable = [p for p in parameters_of(model) if p.requires_grad]
    try:
        optimizer: Optimizer = kind(trainable)
    except (ValueError, TypeError, RuntimeError) as error:
        msg = f"{kind.__name__} cannot optimize this model ({one_line(error)}); name another optimizer, such as adamw"
        raise InputError(msg) from error
    return optimizer


def optimizer_kind(name: str) -> Callable[..., Optimizer]:
    """Return the optimizer of ``torch.optim`` with a name, in any case.

    Raises:
        UnknownNameError: ``torch.optim`` has no such optimizer.
        InputError: It needs a function that evaluates the model.
    """
    kinds: dict[str, type[Optimizer]] = {
        kind.__name__.lower(): kind for kind in vars(torch.optim).values() if _is_optimizer(kind)
    }
    if name.lower() not in kinds:
        what = "optimizer"
        raise UnknownNameError(what, name, kinds)
    kind = kinds[name.lower()]
    if inspect.signature(kind.step).parameters["closure"].default is inspect.Parameter.empty:
        msg = f"{kind.__name__} evaluates the model several times in a step; name another optimizer, such as adamw"
        raise InputError(msg)
    return kind


def optimizer_over(model: nn.Module, optimizer: Optimizer | str | None) -> Optimizer | None:
    """Return an optimizer over the parameters of *model*: the one that is given, or named; None for none.

    Raises:
        UnknownNameError: ``torch.optim`` has no optimizer of that name.
        InputError: It is no optimizer, or has parameters that are not the model's.
    """
    if optimizer is None:
        return None
    if isinstance(optimizer, str):
        return make_optimizer(optimizer, model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__
        msg = f"the optimizer is {quoted(kind)}; pass an instance over model.parameters(), or a name such as 'adamw'"
        raise InputError(msg)
    _check_parameters(optimizer, model)
    return optimizer


def _check_parameters(optimizer: Optimizer, model: nn.Module) -> None:
    own = {id(p) for p in parameters_of(model)}
    foreign = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in own]
    if foreign:
        msg = f"the optimizer has {len(foreign)} parameters that are not the model's; make it over model.parameters()"
        raise InputError(msg)


def _is_optimizer(kind: Any) -> bool:
    base = torch.optim.Optimizer
    return isinstance(kind, type) and issubclass(kind, base) and kind is not base
