"""timm's fast norms on any device: layer and group norms in the precision of autocast, and not in float32.

timm's tables of inference under autocast were measured with them (``timm.layers.set_fast_norm``), as the times tell.
With norms in float32, as autocast runs them by itself, the casts alone move 160 GB in ResNet-50 with group norms at
batch 1,024, which takes 0.17 s on an RTX 3090; its table has 0.37 s, and 0.33 s for ResNet-50 with batch norms.
"""

from __future__ import annotations

from contextlib import contextmanager
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


def count_with_fast_norms(measured: MeasuredPass) -> Profile:
    """Count a pass under autocast whose model is built with fast norms; they are fast in the pass alone.

    timm's own functions ask which autocast is on for a device, which torch cannot say for ``meta``.
    """
    norms = _Norms()

    def run(*model_and_inputs: Any) -> Profile:
        with norms.in_float16():
            return measured.run(*model_and_inputs)

    with norms.in_timm():
        return measured.count(run)


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
