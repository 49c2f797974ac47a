"""timm's models as they were when their times were measured.

*Fast norms*: layer and group norms in the precision of autocast, and not in float32. timm's tables of inference under
autocast were measured with them (``timm.layers.set_fast_norm``), as the times tell. With norms in float32, as autocast
runs them by itself, the casts alone move 160 GB in ResNet-50 with group norms at batch 1,024, which takes 0.17 s on an
RTX 3090; its table has 0.37 s, and 0.33 s for ResNet-50 with batch norms.

*Attention without a fused kernel*: PyTorch has one since 2.0. Before, timm's models multiplied queries and keys, took
the softmax in float32 under autocast, and multiplied by the values.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import timm
import torch
from timm.layers import norm, norm_act
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profiler.run.measured_passes import MeasuredPass
    from profiler.tally import Profile

_LAYER_NORM, _GROUP_NORM = torch.ops.aten.native_layer_norm.default, torch.ops.aten.native_group_norm.default


def count_as_measured(measured: MeasuredPass, *, has_fast_norms: bool, has_fused_attention: bool) -> Profile:
    """Count a pass of a model that is built as it was measured; norms are fast in the pass alone.

    timm's own functions ask which autocast is on for a device, which torch cannot say for ``meta``.

    Args:
        measured: The pass.
        has_fast_norms: Whether norms run in float16 under autocast.
        has_fused_attention: Whether attention runs in one kernel.
    """
    norms = _Norms()

    def run(*model_and_inputs: Any) -> Profile:
        with norms.in_float16():
            return measured.run(*model_and_inputs)

    with ExitStack() as stack:
        if has_fast_norms:
            stack.enter_context(norms.in_timm())
        if not has_fused_attention:
            stack.enter_context(_without_fused_attention())
        return measured.count(run if has_fast_norms else None)


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """Build models in the block whose attention writes its scores to memory."""
    before = timm.layers.use_fused_attn()
    timm.layers.set_fused_attn(enable=False)
    try:
        yield
    finally:
        timm.layers.set_fused_attn(enable=before)


class _Norms:
    """Stands for timm's functions of fast norms."""

    def __init__(self) -> None:
        self._is_fast = False

    @contextmanager
    def in_timm(self) -> Iterator[None]:
        """Build models with fast norms in the block, and run them by these functions."""
        before = timm.layers.is_fast_norm()
        functions: dict[str, Callable[..., torch.Tensor]] = {
            "fast_layer_norm": self._layer_norm,
            "fast_group_norm": self._group_norm,
        }
        timm.layers.set_fast_norm(True)
        try:
            with patch.multiple(norm, **functions), patch.multiple(norm_act, **functions):
                yield
        finally:
            timm.layers.set_fast_norm(before)

    @contextmanager
    def in_float16(self) -> Iterator[None]:
        """Run norms in float16 in the block."""
        self._is_fast = True
        try:
            yield
        finally:
            self._is_fast = False

    def _layer_norm(self, x: torch.Tensor, shape: list[int], *affine: Any) -> torch.Tensor:
        if not self._is_fast:
            return functional.layer_norm(x, shape, *affine)
        result: torch.Tensor = _LAYER_NORM(x.half(), shape, *_in_float16(*affine))[0]
        return result

    def _group_norm(self, x: torch.Tensor, groups: int, *affine: Any) -> torch.Tensor:
        if not self._is_fast:
            return functional.group_norm(x, groups, *affine)
        (n, c), (weight, bias, eps) = x.shape[:2], _in_float16(*affine)
        result: torch.Tensor = _GROUP_NORM(x.half(), weight, bias, n, c, x[0, 0].numel(), groups, eps)[0]
        return result


def _in_float16(
    weight: torch.Tensor | None = None, bias: torch.Tensor | None = None, eps: float = 1e-5
) -> tuple[torch.Tensor | None, torch.Tensor | None, float]:
    return (None if weight is None else weight.half()), (None if bias is None else bias.half()), eps
