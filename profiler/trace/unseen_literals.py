"""Layers that ask whether torch's functions are overridden are not told of the mode `Literals`.

Attention and encoder layers take their slow path under any ``TorchFunctionMode``. While one of them runs, torch's
``has_torch_function`` leaves out ours; at all other times it is torch's own, which scripting and the compiler know.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch import nn, overrides
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from profiler.trace.known_literals import Literals
from profiler.util.shared_context import PROCESS_LOCK, SharedContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LAYERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


@contextmanager
def unseen_literals() -> Iterator[None]:
    """Hide the modes `Literals` from attention and encoder layers that are called in the block, by this thread."""
    running: list[nn.Module] = []
    thread = get_ident()

    def begin(module: nn.Module, _args: Any) -> None:
        if isinstance(module, _LAYERS) and get_ident() == thread:
            _ASKS_OTHERS.__enter__()
            running.append(module)

    def end(module: nn.Module, _args: Any, _result: Any) -> None:
        if running and running[-1] is module and get_ident() == thread:
            running.pop()
            _ASKS_OTHERS.__exit__(None, None, None)

    with PROCESS_LOCK:
        handles = register_module_forward_pre_hook(begin), register_module_forward_hook(end, always_call=True)
    try:
        yield
    finally:
        with PROCESS_LOCK:
            for handle in handles:
                handle.remove()
        while running:
            end(running[-1], None, None)


@contextmanager
def _asks_others() -> Iterator[None]:
    asks = overrides.has_torch_function
    overrides.has_torch_function = partial(_has_torch_function, asks)
    try:
        yield
    finally:
        overrides.has_torch_function = asks


def _has_torch_function(asks: Callable[[Iterable[Any]], bool], arguments: Iterable[Any]) -> bool:
    if not all(isinstance(mode, Literals) for mode in overrides._get_current_function_mode_stack()):
        return asks(arguments)
    with ExitStack() as stack:
        while torch._C._is_torch_function_mode_enabled():
            stack.enter_context(overrides._pop_mode_temporarily())
        return asks(arguments)


_ASKS_OTHERS = SharedContext(_asks_others)
