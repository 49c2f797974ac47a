"""Time a call on a torch device."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def time_calls(call: Callable[[], object], device: torch.device, *, runs: int, warm: int) -> tuple[float, ...]:
    """Return the wall time in seconds of each of *runs* calls, after *warm* untimed ones; on CUDA, synchronise."""
    wait = torch.cuda.synchronize if device.type == "cuda" else nullcontext
    for _ in range(warm):
        call()
    times = []
    for _ in range(runs):
        wait()
        start = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - start)
    return tuple(times)
