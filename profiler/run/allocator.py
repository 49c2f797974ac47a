"""The peak that CUDA's allocator measures, beside the peak that we count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.tally import Profile


def with_allocator_peak(profile: Profile, run: Callable[[], object]) -> Profile:
    """Run again unrecorded, and add the peak of CUDA's allocator; on other devices return *profile* unchanged."""
    if profile.memory is None or not profile.device.startswith("cuda"):
        return profile
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return replace(profile, memory=replace(profile.memory, measured=int(torch.cuda.max_memory_allocated())))
