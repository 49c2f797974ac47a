"""Run models on ``meta``: with the values that are known there, and kernels that older versions of torch lack."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from profiler.trace.known_values import known_values
from profiler.util.dispatch_modes import PlainDispatchMode

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUPED_MM = torch.ops.aten._grouped_mm.default


@contextmanager
def on_meta() -> Iterator[None]:
    """Run the block with what runs on the CPU, as far as ``meta`` can: values that are known, grouped products.

    Inputs that are made in the block keep their values.
    """
    with grouped_products(), known_values():
        yield


def grouped_products() -> AbstractContextManager[object]:
    """Return a context in which grouped matrix products of float32 run on ``meta`` and as fake, as they do on the CPU.

    Before torch 2.15 the meta kernel accepts bfloat16 only, so a mixture of experts in float32 fails on ``meta``.
    """
    return nullcontext() if _runs_in_float32() else _GroupedMatmul()


class _GroupedMatmul(PlainDispatchMode):
    """Returns the shape of a grouped matrix product on ``meta``; runs every other operator unchanged."""

    supports_higher_order_operators = True

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is _GROUPED_MM and _has_no_memory(args[0]) and args[0].dtype is torch.float32:
            return _grouped_mm(*args, **kwargs or {})
        return func(*args, **kwargs or {})


def _has_no_memory(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is on ``meta``, or a fake one."""
    return tensor.is_meta or isinstance(tensor, FakeTensor)


def _grouped_mm(left: torch.Tensor, right: torch.Tensor, offs: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
    """Return an empty result of a grouped product.

    *left* is ``(M, K)`` or ``(G, M, K)``, *right* is ``(K, N)`` or ``(G, K, N)``; *offs* are the G ends of the groups.
    """
    shape: tuple[int, ...] = (left.shape[-2], right.shape[-1])
    if left.dim() == right.dim():
        shape = (left.shape[0] if left.dim() == 3 or offs is None else offs.shape[0], *shape)  # noqa: PLR2004
    return left.new_empty(shape)


@cache
def _runs_in_float32() -> bool:
    left, right = torch.empty(2, 4, device="meta"), torch.empty(1, 4, 4, device="meta")
    try:
        _GROUPED_MM(left, right, torch.empty(1, dtype=torch.int32, device="meta"))
    except RuntimeError:
        return False
    return True
