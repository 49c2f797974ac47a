"""Profiles that several tests project; each is counted once in a process."""

from __future__ import annotations

from functools import cache

from profiler.run.count_target import count_target
from profiler.tally import Profile


@cache
def counted(name: str, *specs: str, batch: int | None = None) -> Profile:
    """Count a target on meta."""
    return count_target(name, specs=specs, batch=batch, device="meta")
