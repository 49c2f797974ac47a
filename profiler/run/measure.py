"""``measure()``: the wall time of a forward pass on this machine."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError
from profiler.run.forward import model_errors, record_once
from profiler.tally import tally
from profiler.trace.module_paths import tensors_of
from profiler.trace.preserve_state import preserve_state
from profiler.trace.require_module import require_module
from profiler.util.interrupts import interruptible, uninterrupted
from profiler.util.timing import time_calls
from profiler.util.uncompiled import uncompiled
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from torch import nn

_RUNS, _WARMUP_RUNS = 9, 2


@dataclass(frozen=True, slots=True)
class Measurement:
    """The wall times of a forward pass, with its counted FLOPs and bytes."""

    #: Of every timed run, in order.
    times_s: tuple[float, ...]
    flops: int
    #: Bytes of operands and results, read or written by the operators.
    bytes: int
    device: str

    @property
    def seconds(self) -> float:
        """The median wall time."""
        return statistics.median(self.times_s)

    @property
    def flops_per_s(self) -> float:
        """Counted FLOPs ÷ median time."""
        return self.flops / self.seconds

    @property
    def bytes_per_s(self) -> float:
        """Counted bytes ÷ median time; may exceed the memory bandwidth, because caches serve some of the bytes."""
        return self.bytes / self.seconds

    def share_of(self, bound_s: float) -> float:
        """Return bound ÷ median time: 1 if the pass is as fast as the bound, less if it is slower."""
        return bound_s / self.seconds

    @property
    def figure(self) -> Figure:
        """The median as a figure of a projection."""
        return Figure(self.seconds, "measured", f"median of {len(self.times_s)} runs after warm-up, on {self.device}")


@uncompiled
def measure(model: nn.Module, *args: Any, runs: int = _RUNS, warm: int = _WARMUP_RUNS, **kwargs: Any) -> Measurement:
    """Time forward passes of *model* without gradients.

    The model runs in its present mode (``train()`` or ``eval()``). The model and the random state are restored
    afterwards. The FLOPs are counted in a pass of their own before the warm-up. On CUDA, timed passes are synchronised.

    Args:
        model: The model; it must not be on ``meta``.
        *args: Positional arguments of its forward.
        runs: Number of timed passes.
        warm: Number of warm-up passes.
        **kwargs: Keyword arguments of its forward.

    Returns:
        The wall time of each timed pass, and the counted FLOPs and bytes of one pass.

    Raises:
        InputError: The model is no module or on ``meta``, or *runs* is below 1.
        ModelError: The model raised; the original error is the ``__cause__``.

    Example:
        >>> import torch
        >>> measurement = measure(torch.nn.Linear(64, 64), torch.zeros(8, 64), runs=3)
        >>> measurement.seconds > 0, measurement.flops
        (True, 66048)
    """
    require_module(model)
    device = _device(model, runs)
    run = partial(model, *args, **kwargs)
    with uninterrupted(), torch.no_grad(), preserve_state(model) as snapshot:
        totals = tally(record_once(model, run, snapshot).trace()).totals
        with model_errors(model), interruptible():
            times_s = time_calls(run, device, runs=runs, warmup_runs=warm)
    return Measurement(times_s, totals.flops, totals.bytes_read + totals.bytes_written, str(device))


def _device(model: nn.Module, runs: int) -> torch.device:
    """Return the device of *model*; raise an ``InputError`` if it cannot be timed."""
    device = next((tensor.device for tensor in tensors_of(model)), torch.device("cpu"))
    if device.type == "meta":
        msg = "cannot time a model on meta; build it with --device cpu or cuda"
        raise InputError(msg)
    if runs < 1:
        msg = f"cannot time {runs} runs; write 1 or more"
        raise InputError(msg)
    return device
