"""``_trilinear``, a sum of products of three tensors: bilinear layers and their gradients run as this operator."""

from __future__ import annotations

from math import prod

from profiler.formulas.element_counts import reduction_ops
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape

#: Positions of dimensions.
Dims = tuple[int, ...]


@formula("aten::_trilinear")
def trilinear(
    i1: Shape, i2: Shape, i3: Shape, expand1: Dims, expand2: Dims, expand3: Dims, sumdim: Dims, unroll_dim: int
) -> Cost:
    """Count ``Σ i1·i2·i3`` as the kernel computes it: two products per index of *unroll_dim*, added to the result.

    The first product is ``i1·i2``, summed over the dimensions that i3 lacks. The second is that times i3, summed over
    the other dimensions. For example, a bilinear layer from I and J features to O takes ``B·O·I·J + B·O·J`` MACs, and
    B·O adds.

    Source: aten/src/ATen/native/Linear.cpp of torch (``_trilinear``).
    """
    one, two, three = _unsqueezed(i1, expand1), _unsqueezed(i2, expand2), _unsqueezed(i3, expand3)
    steps = _broadcast(_broadcast(one, two), three)[unroll_dim]
    one, two, three = (_with_ones(sizes, {unroll_dim}) for sizes in (one, two, three))
    sum_dims = set(sumdim) - {unroll_dim}
    first, intermediate = _sumproduct_pair(one, two, sum_dims & set(expand3))
    second, result = _sumproduct_pair(intermediate, three, sum_dims - set(expand3))
    return Cost(
        macs=steps * (first.macs + second.macs),
        other_flops=steps * (first.other_flops + second.other_flops + prod(result)),
    )


def _sumproduct_pair(left: Shape, right: Shape, sum_dims: set[int]) -> tuple[Cost, Shape]:
    """Return the cost of a product summed over *sum_dims*, and the shape of its result, where these have length 1.

    A dimension that only one operand has is summed before the product. Without sums the product is elementwise, and
    takes no MACs.

    Source: aten/src/ATen/native/Linear.cpp of torch (``sumproduct_pair``).
    """
    result = _with_ones(_broadcast(left, right), sum_dims)
    if not sum_dims:
        return Cost(other_flops=prod(result)), result
    one_sided = {d for d in sum_dims if 1 in {left[d], right[d]}}
    left_sums, right_sums = _with_ones(left, one_sided), _with_ones(right, one_sided)
    adds = reduction_ops(prod(left), prod(left_sums)) + reduction_ops(prod(right), prod(right_sums))
    return Cost(macs=prod(_broadcast(left_sums, right_sums)), other_flops=adds), result


def _unsqueezed(shape: Shape, dims: Dims) -> Shape:
    """Insert dimensions of length 1 at the positions *dims* of the result."""
    sizes = list(shape)
    for dim in sorted(dims):
        sizes.insert(dim, 1)
    return tuple(sizes)


def _with_ones(sizes: Shape, dims: set[int]) -> Shape:
    """Set the lengths of the dimensions *dims* to 1."""
    return tuple(1 if d in dims else n for d, n in enumerate(sizes))


def _broadcast(left: Shape, right: Shape) -> Shape:
    """Return the broadcast shape of two operands."""
    return tuple(r if n == 1 else n for n, r in zip(left, right, strict=True))
