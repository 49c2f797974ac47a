"""Wall-clock timing of calls on a torch device."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from profiler.util.lazy_imports import LazyModule

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
else:
    torch = LazyModule("torch")


def time_calls(call: Callable[[], object], device: torch.device, *, runs: int, warmup_runs: int) -> tuple[float, ...]:
    """Return the wall time in seconds of each of *runs* calls, after *warmup_runs* calls that are not timed.

    CUDA is synchronised before and after each timed call.
    """
    synchronise = torch.cuda.synchronize if device.type == "cuda" else nullcontext
    for _ in range(warmup_runs):
        call()
    times = []
    for _ in range(runs):
        synchronise()
        start = time.perf_counter()
        call()
        synchronise()
        times.append(time.perf_counter() - start)
    return tuple(times)
