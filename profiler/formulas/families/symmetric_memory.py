"""Matrix products that are fused with a collective operation on symmetric memory."""

from __future__ import annotations

from math import prod

from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec

# ruff: noqa: N803 - arguments have the names of torch's schemas


@formula("symm_mem::fused_all_gather_matmul", "symm_mem::fused_all_gather_scaled_matmul")
def fused_all_gather_matmul(Bs: tuple[TensorSpec, ...], out: TensorSpec | None) -> Cost | None:
    """Count the products of the gathered ``(…, M, K)`` with each ``(K, N)``: M·K·N MACs a product.

    The gathered matrix is the first result. Where it is not returned, the number of ranks is unknown.
    """
    if out is None:
        return None
    return Cost(macs=prod(out.shape) * sum(b.shape[-1] for b in Bs))


@formula("symm_mem::fused_matmul_reduce_scatter", "symm_mem::fused_scaled_matmul_reduce_scatter")
def fused_matmul_reduce_scatter(A: Shape, B: Shape) -> Cost:
    """Count the product ``(…, M, K) @ (K, N)`` before its result is scattered: M·K·N MACs."""
    return Cost(macs=prod(A) * B[-1])


@formula("symm_mem::_async_input_mm")
def async_input_mm(a: Shape, b: Shape) -> Cost:
    """Count the product ``(M, K) @ (K, N)``: M·K·N MACs."""
    return Cost(macs=prod(a) * b[-1])
