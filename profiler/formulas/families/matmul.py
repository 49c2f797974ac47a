"""Products of matrices and vectors, under all the names that they have.

Legend: M rows, N columns, K the length of the sums, B matrices in a batch, R elements of the result.

A product takes ``B·M·N·K`` MACs, zeros included; with a sparse operand, one for each of its stored elements and each
row or column of the other. Without a sum there is no MAC: an outer product multiplies R times, whether it arrives as
``aten.mul`` or as ``addr``.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from math import prod

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.epilogues import Factor, activated, biased, weighted
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec


def products(left: TensorSpec, right: TensorSpec) -> int:
    """Count the MACs of ``(…, M, K) @ (…, K, N)``, or of the stored elements of the operand that is sparse."""
    if _is_sparse(right):
        return right.elements * left.shape[-2]
    return numel(left) * right.shape[-1]


@formula("aten::mm", "aten::bmm")
def mm(self: TensorSpec, mat2: TensorSpec) -> Cost | None:
    """Count ``(B, M, K) @ (B, K, N)``, or one product of two matrices; of two sparse ones, nobody can tell."""
    return None if _is_sparse(self) and _is_sparse(mat2) else Cost(macs=products(self, mat2))


@formula("aten::_foreach_mm")
def foreach_mm(self: tuple[TensorSpec, ...], mat2: tuple[TensorSpec, ...]) -> Cost:
    """Count the products of two lists of matrices, pair by pair."""
    return Cost(macs=sum(map(products, self, mat2)))


@formula("aten::addmm")
def addmm(mat1: TensorSpec, mat2: TensorSpec, beta: Factor, alpha: Factor, out: Shape) -> Cost | None:
    """Count ``β·self + α·(M, K) @ (K, N)``; of two sparse matrices, nobody can tell."""
    if _is_sparse(mat1) and _is_sparse(mat2):
        return None
    return weighted(products(mat1, mat2), prod(out), beta, alpha, mat1, mat2)


@formula("aten::_addmm_activation")
def addmm_activation(
    mat1: TensorSpec, mat2: TensorSpec, beta: Factor, alpha: Factor, use_gelu: bool, out: Shape
) -> Cost:
    """Count ``addmm`` and, of each result, ReLU or the GELU with erf."""
    product = weighted(products(mat1, mat2), prod(out), beta, alpha, mat1, mat2)
    return activated(product, prod(out), "gelu" if use_gelu else "relu")


@formula("aten::baddbmm", "aten::addbmm")
def baddbmm(batch1: TensorSpec, batch2: TensorSpec, beta: Factor, alpha: Factor, out: Shape) -> Cost:
    """Count ``β·self + α·(B, M, K) @ (B, K, N)``; ``addbmm`` sums over the batch too, in the same MACs."""
    return weighted(products(batch1, batch2), prod(out), beta, alpha, batch1, batch2)


@formula("aten::mv")
def mv(self: TensorSpec) -> Cost:
    """Count ``(M, K) @ (K)``: each element of the matrix once."""
    return Cost(macs=numel(self))


@formula("aten::addmv")
def addmv(mat: TensorSpec, vec: TensorSpec, beta: Factor, alpha: Factor, out: Shape) -> Cost:
    """Count ``β·self + α·(M, K) @ (K)``."""
    return weighted(numel(mat), prod(out), beta, alpha, mat, vec)


@formula("aten::dot", "aten::vdot")
def dot(self: Shape) -> Cost:
    """Count the K products of two vectors."""
    return Cost(macs=prod(self))


@formula("aten::addr")
def addr(vec1: TensorSpec, vec2: TensorSpec, beta: Factor, alpha: Factor, out: Shape) -> Cost:
    """Count ``β·self + α·vec1 ⊗ vec2``: R multiplies for the outer product, which sums nothing, and the rest."""
    rest = weighted(0, prod(out), beta, alpha, vec1, vec2)
    return Cost(other_flops=prod(out) + rest.other_flops, bytes_read=rest.bytes_read)


@formula("aten::linear")
def linear(input: TensorSpec, weight: Shape, bias: Shape | None, out: TensorSpec) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``; a nested input has as many rows as are stored."""
    return biased(numel(input) * prod(weight[:-1]), numel(out), bias)


@formula("aten::mkldnn_linear")
def mkldnn_linear(self: Shape, weight: Shape, bias: Shape | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``."""
    return biased(prod(self) * weight[0], prod(out), bias)


@formula("mkldnn::_linear_pointwise.default")
def linear_pointwise(X: Shape, W: Shape, B: Shape | None, attr: str, algorithm: str | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``, then an activation."""
    return activated(biased(prod(X) * W[0], prod(out), B), prod(out), attr, algorithm)


@formula("mkldnn::_linear_pointwise.binary")
def linear_binary(X: Shape, W: Shape, B: Shape | None, attr: str, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``, then one operation with each element of another operand."""
    return activated(biased(prod(X) * W[0], prod(out), B), prod(out), attr)


@formula("aten::linear_backward", "aten::mkldnn_linear_backward")
def linear_backward(self: TensorSpec, grad_output: TensorSpec, weight: Shape, output_mask: tuple[bool, ...]) -> Cost:
    """Count, where asked for: ``grad @ weight``, ``gradᵀ @ input``, and the sum of the gradient's rows."""
    of_input, of_weight, of_bias = output_mask
    return Cost(
        macs=numel(self) * weight[0] * (of_input + of_weight),
        other_flops=reduction_ops(numel(grad_output), weight[0]) * of_bias,
    )


@formula("aten::matmul")
def matmul(self: TensorSpec, other: TensorSpec, out: TensorSpec) -> Cost:
    """Count the products of nested tensors, component by component; of any other tensors this is made of ``bmm``."""
    if self.layout != "nested":
        return Cost(macs=numel(out) * self.shape[-1])
    return Cost(macs=_nested_products(self, other))


@formula("aten::matmul_backward")
def matmul_backward(self: TensorSpec, other: TensorSpec, mask: tuple[bool, ...]) -> Cost:
    """Count, for nested tensors, a product as large as the forward one for each gradient that is asked for."""
    return Cost(macs=_nested_products(self, other) * sum(mask))


def _is_sparse(spec: TensorSpec) -> bool:
    return spec.layout.startswith("sparse")


def _nested_products(left: TensorSpec, right: TensorSpec) -> int:
    """Count the MACs of a nested tensor, component by component, by a nested or a common one."""
    components = _components(left)
    others = _components(right) if right.layout == "nested" else [right.shape] * len(components)
    return sum(prod(shape) * other[-1] for shape, other in zip(components, others, strict=True))


def _components(nested: TensorSpec) -> list[Shape]:
    """List the shapes of a nested tensor's components."""
    sizes, width = nested.values or (), len(nested.shape) - 1
    return [sizes[i : i + width] for i in range(0, len(sizes), width)]
