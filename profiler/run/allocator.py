"""Measure the peak of CUDA's caching allocator, to compare with the counted peak of live memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.tally import Profile


def with_allocator_peak(profile: Profile, run: Callable[[], object]) -> Profile:
    """Call *run* again without recording, and return *profile* with the peak of CUDA's allocator in bytes.

    A profile of another device is returned unchanged, and *run* is not called.
    """
    if profile.memory is None or not profile.device.startswith("cuda"):
        return profile
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return replace(profile, memory=replace(profile.memory, measured=int(torch.cuda.max_memory_allocated())))
