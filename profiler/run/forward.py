"""``count()``: one forward pass, after which the model's state is restored."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import ModelError, ProfilerError, one_line
from profiler.run.allocator import with_allocator_peak
from profiler.tally import Profile, tally
from profiler.trace import Session
from profiler.trace.module_paths import parameters_of
from profiler.trace.nested_tensors import tensors_in
from profiler.trace.preserve_state import preserve_state
from profiler.trace.require_module import require_module
from profiler.util.interrupts import interruptible, uninterrupted
from profiler.util.uncompiled import uncompiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from torch.optim import Optimizer

    from profiler.trace.snapshot import Snapshot


@uncompiled
def count(model: nn.Module, *args: Any, **kwargs: Any) -> Profile:
    """Run one forward pass of *model* under ``torch.no_grad()`` and return its profile.

    The model runs in its present mode: call ``model.eval()`` first to count inference. Its output is discarded. Any
    device works; on ``meta`` nothing is computed or allocated, so that large models are counted in seconds. Afterwards
    everything that the model holds is restored: parameters, buffers (such as BatchNorm's running statistics), lazy
    layers, hooks, and the attributes of its modules. So is the random state of Python, NumPy and torch.

    ``totals`` has the sums: MACs, FLOPs, bytes, parameters, and the peak of live memory. ``operators``, ``modules`` and
    ``tree`` split them up, ``print(p)`` writes the report, and ``p.save(path)`` saves the profile. To count several
    calls, or a loop of your own, use `profiler.profile`; to count a training step, `profiler.count_step`.

    Args:
        model: The model.
        *args: Positional arguments of its forward, on the model's device.
        **kwargs: Keyword arguments of its forward.

    Returns:
        The profile, which holds no reference to the model or its tensors.

    Raises:
        InputError: The model is no ``nn.Module``; the message says what to pass.
        ModelError: The model raised; the original error is the ``__cause__``.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> p = count(model, torch.empty(4, 20, device="meta"))  # 4 · 20 · 30 MACs, and 4 · 30 additions of the bias
        >>> p.totals.macs, p.totals.flops, p.totals.params
        (2400, 4920, 630)
    """
    require_module(model)
    with uninterrupted(), torch.no_grad():
        return record(model, lambda: model(*args, **kwargs))


def record(
    model: nn.Module, run: Callable[[], object], optimizer: Optimizer | None = None, *, trains: bool = False
) -> Profile:
    """Call *run*, which calls *model*, and return its profile; restore everything afterwards.

    If *run* creates states of the optimizer, it runs once more, and the second run is counted: training consists of
    such steps. Before each, the gradients are the same.

    Args:
        model: The model.
        run: Runs it.
        optimizer: The optimizer that *run* steps.
        trains: Whether *run* runs a backward pass.

    Raises:
        ModelError: *run* raised; the original error is the ``__cause__``.
    """
    with uninterrupted(), preserve_state(model, optimizer, trains=trains) as snapshot:
        gradients = [(parameter, parameter.grad) for parameter in parameters_of(model)] if optimizer is not None else []
        states = _state_count(optimizer)
        session = record_once(model, run, snapshot)
        if _state_count(optimizer) > states:
            for parameter, gradient in gradients:
                parameter.grad = gradient
            session = record_once(model, run, snapshot)
    return tally(session.trace())


def record_once(model: nn.Module, run: Callable[[], object], snapshot: Snapshot) -> Session:
    """Return the session that recorded *run*. The *snapshot* copies what is overwritten, and is not restored here."""
    session = Session(model, snapshot.before_overwrite)
    with model_errors(model), session, interruptible():
        run()
    return session


def _state_count(optimizer: Optimizer | None) -> int:
    """Return the number of tensors that the optimizer keeps, beside the parameters."""
    if optimizer is None:
        return 0
    own = [value for name, value in vars(optimizer).items() if name not in {"param_groups", "state"}]
    return sum(1 for _ in tensors_in([*own, *optimizer.state.values()]))


@contextmanager
def model_errors(model: nn.Module) -> Iterator[None]:
    """Raise what the block raises as a ``ModelError`` that names the model, in one line.

    Raises:
        ModelError: The block raised; the original error is the ``__cause__``.
    """
    try:
        yield
    except ProfilerError:
        raise
    except Exception as error:
        msg = f"{type(model).__name__} raised {one_line(error)}"
        raise ModelError(msg) from error


def count_forward(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
    """Count one forward pass in inference mode; on CUDA also measure the allocator's peak.

    In inference mode, attention is dispatched as one operator with its mask; its decomposition on ``meta`` would hide
    the mask.
    """
    with uninterrupted(), torch.inference_mode():
        return with_allocator_peak(count(model, *args, **kwargs), partial(_call, model, args, kwargs))


def _call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with interruptible():
        model(*args, **kwargs)
