"""One training step of a model: run, counted, and taken back."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from profiler.api import counting, profile
from profiler.errors import InputError, UnknownNameError
from profiler.memory import training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch.optim import Optimizer

    from profiler.memory import Memory
    from profiler.tally import Profile

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
    recording = profile(model)
    with _as_it_was(model, optimizer), counting(model, recording):
        step(model, args, kwargs, loss=loss, optimizer=optimizer)
    found = recording.result
    return replace(found, memory=_with_estimate(found, optimizer))


def step(
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


def with_allocator_peak(found: Profile, run: Callable[[], object]) -> Profile:
    """Put beside the peak of a profile what CUDA's allocator says of the same *run*, unwatched; nothing elsewhere."""
    if found.memory is None or not found.device.startswith("cuda"):
        return found
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return replace(found, memory=replace(found.memory, measured=int(torch.cuda.max_memory_allocated())))


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
        return replace(found.memory, estimate=training(found.totals.params, found.params_by_dtype[0][0], name))
    return found.memory


def _is_optimizer(kind: Any) -> bool:
    base = torch.optim.Optimizer
    return isinstance(kind, type) and issubclass(kind, base) and kind is not base


def _floating(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, dict):
        yield from _floating(list(output.values()))
    elif isinstance(output, (list, tuple)):
        for item in output:
            yield from _floating(item)


@contextmanager
def _as_it_was(model: nn.Module, optimizer: Optimizer | None) -> Iterator[None]:
    """Put parameters, gradients and the optimizer's state back afterwards; `counting` does so with the rest."""
    grads = [(p, p.grad, p.grad.clone() if p.grad is not None else p.new_empty(0)) for p in model.parameters()]
    values = [(p, p.detach().clone()) for p in model.parameters()] if optimizer is not None else []
    states = {p: deepcopy(state) for p, state in optimizer.state.items()} if optimizer is not None else {}
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, grad, value in grads:
                parameter.grad = grad
                if grad is not None:
                    grad.copy_(value)
            for parameter, value in values:
                parameter.copy_(value)
        if optimizer is not None:
            optimizer.state.clear()
            optimizer.state.update(states)
