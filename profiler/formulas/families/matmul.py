"""Matrix and vector products: ``mm``, ``bmm``, ``addmm``, ``mv``, ``dot``, ``linear`` and their variants.

Legend: M rows, N columns, K the contracted dimension, B matrices in a batch, R elements of the result.

A dense product takes ``B·M·N·K`` MACs, zeros included. With one sparse operand it takes one MAC for each stored element
and each row or column of the other operand. An outer product has no sum and therefore no MAC: it takes R multiplies,
whether it is dispatched as ``aten.mul`` or as ``aten.addr``.
"""

# ruff: noqa: N803 - arguments have the names of torch's schemas

from __future__ import annotations

from math import prod

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.epilogues import weighted_sum, with_activation, with_bias
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Number, Shape, TensorSpec


def products(left: TensorSpec, right: TensorSpec) -> int:
    """Return the MACs of ``(…, M, K) @ (…, K, N)``; of a sparse operand only the stored elements count."""
    if _is_sparse(right):
        return right.elements * left.shape[-2]
    return numel(left) * right.shape[-1]


@formula("aten::mm", "aten::bmm")
def mm(self: TensorSpec, mat2: TensorSpec) -> Cost | None:
    """Count ``(M, K) @ (K, N)``, or B such products.

    Unknown (None) for sparse @ sparse: the work depends on the pattern of the stored elements.
    """
    return None if _is_sparse(self) and _is_sparse(mat2) else Cost(macs=products(self, mat2))


@formula("aten::_foreach_mm")
def foreach_mm(self: tuple[TensorSpec, ...], mat2: tuple[TensorSpec, ...]) -> Cost:
    """Count the pairwise products of two lists of matrices."""
    return Cost(macs=sum(map(products, self, mat2)))


@formula("aten::addmm")
def addmm(mat1: TensorSpec, mat2: TensorSpec, beta: Number, alpha: Number, out: Shape) -> Cost | None:
    """Count ``β·self + α·(M, K) @ (K, N)``; unknown (None) for sparse @ sparse, as in ``mm``."""
    if _is_sparse(mat1) and _is_sparse(mat2):
        return None
    return weighted_sum(products(mat1, mat2), prod(out), beta, alpha, mat1, mat2)


@formula("aten::_addmm_activation")
def addmm_activation(
    mat1: TensorSpec, mat2: TensorSpec, beta: Number, alpha: Number, use_gelu: bool, out: Shape
) -> Cost:
    """Count ``addmm``, then ReLU or the exact (erf) GELU on each result."""
    product = weighted_sum(products(mat1, mat2), prod(out), beta, alpha, mat1, mat2)
    return with_activation(product, prod(out), "gelu" if use_gelu else "relu")


@formula("aten::baddbmm", "aten::addbmm")
def baddbmm(batch1: TensorSpec, batch2: TensorSpec, beta: Number, alpha: Number, out: Shape) -> Cost:
    """Count ``β·self + α·(B, M, K) @ (B, K, N)``; ``addbmm`` also sums over the batch, within the same MACs."""
    return weighted_sum(products(batch1, batch2), prod(out), beta, alpha, batch1, batch2)


@formula("aten::mv")
def mv(self: TensorSpec) -> Cost:
    """Count ``(M, K) @ (K)``: one MAC per element of the matrix."""
    return Cost(macs=numel(self))


@formula("aten::addmv")
def addmv(mat: TensorSpec, vec: TensorSpec, beta: Number, alpha: Number, out: Shape) -> Cost:
    """Count ``β·self + α·(M, K) @ (K)``."""
    return weighted_sum(numel(mat), prod(out), beta, alpha, mat, vec)


@formula("aten::dot", "aten::vdot")
def dot(self: Shape) -> Cost:
    """Count the dot product of two vectors: K MACs."""
    return Cost(macs=prod(self))


@formula("aten::addr")
def addr(vec1: TensorSpec, vec2: TensorSpec, beta: Number, alpha: Number, out: Shape) -> Cost:
    """Count ``β·self + α·vec1 ⊗ vec2``: R multiplies for the outer product (no MACs), plus the scaling and the sum."""
    rest = weighted_sum(0, prod(out), beta, alpha, vec1, vec2)
    return Cost(other_flops=prod(out) + rest.other_flops, bytes_read=rest.bytes_read)


@formula("aten::linear")
def linear(input: TensorSpec, weight: Shape, bias: Shape | None, out: TensorSpec) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``; of a nested input, only the stored rows count."""
    return with_bias(numel(input) * prod(weight[:-1]), numel(out), bias)


@formula("aten::mkldnn_linear")
def mkldnn_linear(self: Shape, weight: Shape, bias: Shape | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``."""
    return with_bias(prod(self) * weight[0], prod(out), bias)


@formula("mkldnn::_linear_pointwise.default")
def linear_pointwise(X: Shape, W: Shape, B: Shape | None, attr: str, algorithm: str | None, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``, then an activation."""
    return with_activation(with_bias(prod(X) * W[0], prod(out), B), prod(out), attr, algorithm)


@formula("mkldnn::_linear_pointwise.binary")
def linear_binary(X: Shape, W: Shape, B: Shape | None, attr: str, out: Shape) -> Cost:
    """Count ``(…, K) @ (N, K)ᵀ + bias``, then one elementwise operation with another tensor."""
    return with_activation(with_bias(prod(X) * W[0], prod(out), B), prod(out), attr)


@formula("aten::linear_backward", "aten::mkldnn_linear_backward")
def linear_backward(self: TensorSpec, grad_output: TensorSpec, weight: Shape, output_mask: tuple[bool, ...]) -> Cost:
    """Count the gradients in *output_mask*: ``grad @ weight``, ``gradᵀ @ input``, and the sum of grad over its rows."""
    of_input, of_weight, of_bias = output_mask
    return Cost(
        macs=numel(self) * weight[0] * (of_input + of_weight),
        other_flops=reduction_ops(numel(grad_output), weight[0]) * of_bias,
    )


@formula("aten::matmul")
def matmul(self: TensorSpec, other: TensorSpec, out: TensorSpec) -> Cost:
    """Count the product of each pair of components of nested tensors; dense inputs normally decompose to ``bmm``."""
    if self.layout != "nested":
        return Cost(macs=numel(out) * self.shape[-1])
    return Cost(macs=_nested_products(self, other))


@formula("aten::matmul_backward")
def matmul_backward(self: TensorSpec, other: TensorSpec, mask: tuple[bool, ...]) -> Cost:
    """Count, for each gradient in *mask*, as many MACs as the forward pass takes (nested tensors only)."""
    return Cost(macs=_nested_products(self, other) * sum(mask))


def _is_sparse(spec: TensorSpec) -> bool:
    return spec.layout.startswith("sparse")


def _nested_products(left: TensorSpec, right: TensorSpec) -> int:
    """Return the MACs of a nested tensor times a nested or dense one, summed over the components."""
    components = _components(left)
    others = _components(right) if right.layout == "nested" else [right.shape] * len(components)
    return sum(prod(shape) * other[-1] for shape, other in zip(components, others, strict=True))


def _components(nested: TensorSpec) -> list[Shape]:
    """Return the shape of each component of a nested tensor."""
    sizes, width = nested.values or (), len(nested.shape) - 1
    return [sizes[i : i + width] for i in range(0, len(sizes), width)]
