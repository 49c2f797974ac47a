"""How processes of ours start: from a server that has imported what they need, where there are forks."""

from __future__ import annotations

from multiprocessing import get_all_start_methods, get_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import ForkServerContext, SpawnContext


def context_with_imports(imports: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Give a context whose processes find *imports* imported; what is not installed is passed over.

    The server has done nothing else, so that a fork of it is safe where one of a process that has computed is not.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(imports))
    return context
