"""What a session changes for the whole process, and not only for its thread. The last session to end restores it."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from torch.utils import _python_dispatch

from profiler.trace.eager_control_flow import plain_control_flow
from profiler.trace.force_eager import force_eager
from profiler.trace.meta_attention import fused_attention_on_meta
from profiler.trace.meta_composites import whole_composites_on_meta
from profiler.trace.meta_encoder import encoder_fast_paths_on_meta
from profiler.trace.meta_recurrent import recurrent_layers_on_meta
from profiler.util.shared_context import SharedContext

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What torch notes when a dispatch mode is entered, and resets to what it was there when that mode is left.
_DISPATCH_FLAGS = (
    "_is_in_torch_dispatch_mode",
    "_is_in_non_infra_torch_dispatch_mode",
    "_is_in_any_mode_without_ignore_compile_internals",
)
_SET_FLAG_OF_COMPILER = "set_is_in_mode_without_ignore_compile_internals"


@contextmanager
def _deeper_calls() -> Iterator[None]:
    """Let a model that nests as deeply as Python allows run with our hooks too.

    Torch calls a module through three functions, and through four if there are hooks.
    """
    limit = sys.getrecursionlimit()
    deeper = limit * 4 // 3 + 100
    sys.setrecursionlimit(deeper)
    try:
        yield
    finally:
        if sys.getrecursionlimit() == deeper:
            with suppress(RecursionError):  # the block ends deeper in calls than it began
                sys.setrecursionlimit(limit)


@contextmanager
def _mode_flags() -> Iterator[None]:
    """Reset torch's notes of whether a dispatch mode runs, which it keeps for all threads together."""
    flags = {name: getattr(_python_dispatch, name) for name in _DISPATCH_FLAGS if hasattr(_python_dispatch, name)}
    try:
        yield
    finally:
        for name, value in flags.items():
            setattr(_python_dispatch, name, value)
        set_flag = getattr(_python_dispatch, _SET_FLAG_OF_COMPILER, None)
        if set_flag is not None and _DISPATCH_FLAGS[-1] in flags:
            set_flag(flags[_DISPATCH_FLAGS[-1]])


@contextmanager
def _process_state() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(_deeper_calls())
        stack.enter_context(_mode_flags())
        force_eager(stack)
        stack.enter_context(fused_attention_on_meta())
        stack.enter_context(whole_composites_on_meta())
        stack.enter_context(plain_control_flow())
        stack.enter_context(recurrent_layers_on_meta())
        stack.enter_context(encoder_fast_paths_on_meta())
        yield


#: The context that every session enters.
PROCESS_STATE = SharedContext(_process_state)
