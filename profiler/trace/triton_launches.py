"""Observe the launches of Triton kernels, which are no operators unless they are wrapped in one.

Triton calls a hook before each launch. Source: ``triton.knobs.runtime.launch_enter_hook``, in some versions a chain of
functions; ``triton.compiler.CompiledKernel.launch_enter_hook`` in those without ``triton.knobs``.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HOOK = "launch_enter_hook"


@contextmanager
def observe_launches(on_launch: Callable[[], None]) -> Iterator[None]:
    """Call *on_launch* before each launch inside the block, if Triton has been imported."""
    holder = _holder()
    if holder is None:
        yield
        return
    previous = getattr(holder, _HOOK)

    def hook(*args: Any, **kwargs: Any) -> None:
        on_launch()
        if not is_chain and previous is not None:
            previous(*args, **kwargs)

    is_chain = hasattr(previous, "add") and hasattr(previous, "remove")
    if is_chain:
        previous.add(hook)
    else:
        setattr(holder, _HOOK, hook)
    try:
        yield
    finally:
        if is_chain:
            previous.remove(hook)
        elif getattr(holder, _HOOK) is hook:
            setattr(holder, _HOOK, previous)


def _holder() -> Any:
    """Return the object that has the hook; None if Triton is not imported, or is of a version that has none."""
    knobs = getattr(sys.modules.get("triton.knobs"), "runtime", None)
    kernel = getattr(sys.modules.get("triton.compiler"), "CompiledKernel", None)
    return next((holder for holder in (knobs, kernel) if hasattr(holder, _HOOK)), None)
