"""Tell for which module FSDP2 gathers parameters or reduces gradients.

It does so in hooks, and in a callback of the autograd engine: ahead of the module that needs the parameters (prefetch),
and after the one whose gradients are ready. While it does, one of its own functions is on the stack, and that knows the
group of parameters.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import FrameType

    from torch import nn

    from profiler.values.records import Phase

#: The methods that reduce the gradients of a group.
_REDUCING = frozenset({"post_backward", "finalize_backward"})
_GROUPS = "torch.distributed.fsdp._fully_shard._fsdp_param_group"


def has_sharded(modules: Iterable[nn.Module]) -> bool:
    """Return whether FSDP2 shards any of the *modules*."""
    sharded: Any = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    return sharded is not None and any(isinstance(module, sharded) for module in modules)


class FsdpExchange(NamedTuple):
    """What FSDP2 does now."""

    #: The module whose group of parameters it handles.
    module: nn.Module
    #: Whether it reduces gradients; if not, it gathers or frees parameters.
    reduces: bool


def fsdp_exchange() -> FsdpExchange | None:
    """Return what FSDP2 does now on this thread; None if nothing.

    Source: FSDPParamGroup in torch/distributed/fsdp/_fully_shard/_fsdp_param_group.py; its ``modules`` are those that
    ``fully_shard`` was called with.
    """
    file = getattr(sys.modules.get(_GROUPS), "__file__", None)
    frame: FrameType | None = sys._getframe(1) if file is not None else None
    while frame is not None:
        if frame.f_code.co_filename == file:
            modules = getattr(frame.f_locals.get("self"), "modules", None)
            if modules:
                return FsdpExchange(modules[0], frame.f_code.co_name in _REDUCING)
        frame = frame.f_back
    return None


def place_of_exchange(paths_of: Callable[[nn.Module], Sequence[str]], path: str, phase: Phase) -> tuple[str, Phase]:
    """Return the module whose parameters or gradients FSDP2 exchanges now, and the phase; the given if it does not.

    Gradients are reduced in the backward phase, also where torch runs a forward again for activation checkpointing.
    """
    exchange = fsdp_exchange()
    paths = paths_of(exchange.module) if exchange is not None else ()
    if exchange is None or not paths:
        return path, phase
    return paths[0], "backward" if exchange.reduces else phase
