"""Start processes with their imports already done, by a fork server where the platform has one."""

from __future__ import annotations

from multiprocessing import get_all_start_methods, get_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import ForkServerContext, SpawnContext


def context_with_imports(imports: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return a multiprocessing context whose processes start with *imports* done; missing modules are skipped.

    Forking the server is safe, because it only imports: it has no threads, unlike a process that has used torch. Where
    there is no fork server (Windows), processes are spawned and import by themselves.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(imports))
    return context
