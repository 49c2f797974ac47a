"""``gather()``: collect the profiles of all ranks of a process group on one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.distributed as dist

from profiler.errors import InputError
from profiler.tally.gathered import Gathered

if TYPE_CHECKING:
    from profiler.tally import Profile

_FAKE = "fake"


def gather(profile: Profile) -> Gathered | None:
    """Send the profile of this rank to rank 0; every rank of the default process group has to call it.

    Returns:
        The profiles of all ranks on rank 0; None on the others.

    Raises:
        InputError: There is no process group, or one without other processes.
    """
    if not (dist.is_available() and dist.is_initialized()):
        msg = "gather() needs a process group; start the script with torchrun and call init_process_group() first"
        raise InputError(msg)
    if dist.get_backend() == _FAKE:
        msg = "gather() needs the other ranks, and the fake backend has none; use gloo or nccl"
        raise InputError(msg)
    profiles: list[Profile] | None = [profile] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(profile, profiles)
    return None if profiles is None else Gathered(tuple(profiles))
