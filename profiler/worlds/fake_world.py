"""A process group without other processes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch.distributed as dist

from profiler.errors import InputError, InstallationError
from profiler.worlds.private_names import find

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def fake_ranks(rank: int, world: int) -> Iterator[None]:
    """Initialise the default process group as one rank of a world without other processes, for the block.

    Raises:
        InputError: This process has a process group already.
        InstallationError: This PyTorch has no ``torch.distributed``, or no fake process group.
    """
    if not dist.is_available():
        msg = "this PyTorch is built without torch.distributed, which a world needs; install another build"
        raise InstallationError(msg)
    if dist.is_initialized():
        msg = "a world is traced in a process group of its own; call it where no process group is initialised"
        raise InputError(msg)
    dist.init_process_group("fake", rank=rank, world_size=world, store=find("FakeStore")())
    try:
        yield
    finally:
        dist.destroy_process_group()
        _forget_meshes()


def _forget_meshes() -> None:
    """Drop what DTensor has derived for meshes: it holds the names of their groups, which end with them.

    A mesh of the next world is equal to one of these if it has the same ranks, and its groups may have other names.
    """
    find("_clear_python_sharding_prop_cache")()
    find("_clear_fast_path_sharding_prop_cache")()
