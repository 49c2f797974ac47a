"""Profiles that several tests share; each is counted once per process."""

from __future__ import annotations

from functools import cache

from profiler.run.count_target import count_target
from profiler.tally import Profile


@cache
def counted(name: str, *specs: str, batch: int | None = None) -> Profile:
    """Return the profile of a target, counted on meta."""
    return count_target(name, specs=specs, batch=batch, device="meta")
