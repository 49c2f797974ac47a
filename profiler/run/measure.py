"""``measure()``: what a model really takes, here and now."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError, ModelError, ProfilerError, one_line
from profiler.tally import tally
from profiler.trace import Session
from profiler.trace.preserve_state import preserve_buffers_and_rng
from profiler.util.timing import time_calls
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from torch import nn

    from profiler.tally import Profile

_RUNS, _WARM = 9, 2


@dataclass(frozen=True, slots=True)
class Measurement:
    """The wall time of one pass, and the rates that follow from it."""

    #: Of every timed run, in their order.
    times_s: tuple[float, ...]
    flops: int
    bytes: int
    device: str

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(self.times_s)

    @property
    def flops_per_s(self) -> float:
        """Counted operations over the median."""
        return self.flops / self.seconds

    @property
    def bytes_per_s(self) -> float:
        """Counted operands and results over the median; what a cache keeps is in it."""
        return self.bytes / self.seconds

    def share_of(self, bound_s: float) -> float:
        """Say how close it comes to a bound: 1 is the bound itself."""
        return bound_s / self.seconds

    @property
    def figure(self) -> Figure:
        """The median as a figure."""
        return Figure(self.seconds, "measured", f"median of {len(self.times_s)} runs after warm-up, on {self.device}")


def measure(model: nn.Module, *args: Any, runs: int = _RUNS, warm: int = _WARM, **kwargs: Any) -> Measurement:
    """Run *model* several times without gradients, and give the median wall time after warm-up.

    On CUDA each run ends with a synchronisation. The work is counted in a run of its own, before the timed ones.
    The model runs in the mode that it is in; its buffers, and the random state, are afterwards what they were.

    Raises:
        InputError: The model is on ``meta``, where nothing runs, or there is no run to time.
        ModelError: The model raised; the error is its cause.

    Example:
        >>> import torch
        >>> found = measure(torch.nn.Linear(64, 64), torch.zeros(8, 64), runs=3)
        >>> found.seconds > 0, found.flops
        (True, 66048)
    """
    device = _device(model, runs)
    try:
        with torch.no_grad(), preserve_buffers_and_rng(model):
            profile = _counted(model, args, kwargs)
            times = time_calls(lambda: model(*args, **kwargs), device, runs=runs, warm=warm)
    except ProfilerError:
        raise
    except Exception as error:
        msg = f"{type(model).__name__} raised {one_line(error)}"
        raise ModelError(msg) from error
    total = profile.totals
    return Measurement(times, total.flops, total.bytes_read + total.bytes_written, str(device))


def _counted(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
    session = Session(model)
    with session:
        model(*args, **kwargs)
    return tally(session.trace())


def _device(model: nn.Module, runs: int) -> torch.device:
    first = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    if first.type == "meta":
        msg = "a model on meta does not run; build it with --device cpu or cuda to measure it"
        raise InputError(msg)
    if runs < 1:
        msg = f"{runs} runs are none; write 1 or more"
        raise InputError(msg)
    return first
