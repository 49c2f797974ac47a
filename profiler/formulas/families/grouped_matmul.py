"""Grouped matrix products: one operator computes the products of all experts of a mixture of experts.

Legend: E experts; M, N, K as in ``matmul.py``. The ragged dimension is split at the offsets ``offs`` into one part per
expert. It ends at the last offset, or at its full length if the offsets are unknown. MACs of the four forms:

=================== =================== ======= ==================================
``self``            ``mat2``            ragged  MACs
=================== =================== ======= ==================================
``(ΣM, K)``         ``(E, K, N)``       rows    ``ΣM·K·N``, the forward pass
``(E, M, K)``       ``(K, ΣN)``         columns ``M·K·ΣN``
``(M, ΣK)``         ``(ΣK, N)``         sums    ``M·N·ΣK``, the gradient of weights
``(E, M, K)``       ``(E, K, N)``       none    ``E·M·K·N``
=================== =================== ======= ==================================
"""

from __future__ import annotations

from math import prod

from profiler.formulas.epilogues import with_bias
from profiler.formulas.families.low_precision import unpacked_shape
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec

_MATRIX = 2


@formula("aten::_grouped_mm")
def grouped_mm(self: Shape, mat2: Shape, offs: TensorSpec | None, bias: Shape | None, out: Shape) -> Cost:
    """Count the products of all experts, and the bias."""
    return with_bias(_products(self, mat2, offs), prod(out), bias)


@formula("aten::_scaled_grouped_mm", "aten::_scaled_grouped_mm_v2")
def scaled_grouped_mm(self: TensorSpec, mat2: Shape, offs: TensorSpec | None, bias: Shape | None, out: Shape) -> Cost:
    """Count the products of all experts in low precision, a multiply to scale each result, and the bias."""
    return with_bias(_products(unpacked_shape(self), mat2, offs), prod(out), "scale", bias)


def _products(left: Shape, right: Shape, offs: TensorSpec | None) -> int:
    """Count the MACs of all groups."""
    (m, k), n = left[-2:], right[-1]
    end = offs.values[-1] if offs is not None and offs.values else None
    if len(left) == len(right) == _MATRIX:
        return m * n * _used(k, end)
    if len(left) == _MATRIX:
        return _used(m, end) * k * n
    return m * k * _used(n, end) if len(right) == _MATRIX else left[0] * m * k * n


def _used(length: int, end: int | None) -> int:
    return length if end is None else min(end, length)
