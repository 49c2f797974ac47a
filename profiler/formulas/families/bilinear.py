"""``_trilinear``: the sums of three factors, of which bilinear layers and their gradients are made."""

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
    """Count ``Σ i1·i2·i3`` as it is computed: two products for each index of *unroll_dim*, added to the result.

    The first is i1 by i2, summed over the dimensions that i3 lacks; the second that by i3, summed over the rest. So a
    bilinear layer from I and J to O features takes ``B·O·I·J + B·O·J`` MACs, and B·O adds.
    Source: aten/src/ATen/native/Linear.cpp of torch (``_trilinear``).
    """
    one, two, three = _inserted(i1, expand1), _inserted(i2, expand2), _inserted(i3, expand3)
    steps = _broadcast(_broadcast(one, two), three)[unroll_dim]
    one, two, three = (_with_ones(sizes, {unroll_dim}) for sizes in (one, two, three))
    summed = set(sumdim) - {unroll_dim}
    first, between = _pair(one, two, summed & set(expand3))
    second, result = _pair(between, three, summed - set(expand3))
    return Cost(
        macs=steps * (first.macs + second.macs),
        other_flops=steps * (first.other_flops + second.other_flops + prod(result)),
    )


def _pair(left: Shape, right: Shape, summed: set[int]) -> tuple[Cost, Shape]:
    """Count one product with sums over some dimensions, and give the shape of its result, where those are 1.

    What only one side has is summed there before. Without sums it is an elementwise product, and no MAC.
    Source: aten/src/ATen/native/Linear.cpp of torch (``sumproduct_pair``).
    """
    result = _with_ones(_broadcast(left, right), summed)
    if not summed:
        return Cost(other_flops=prod(result)), result
    lone = {d for d in summed if 1 in {left[d], right[d]}}
    left_sums, right_sums = _with_ones(left, lone), _with_ones(right, lone)
    added = reduction_ops(prod(left), prod(left_sums)) + reduction_ops(prod(right), prod(right_sums))
    return Cost(macs=prod(_broadcast(left_sums, right_sums)), other_flops=added), result


def _inserted(shape: Shape, dims: Dims) -> Shape:
    """Insert dimensions of length 1, so that each of *dims* is one in the result."""
    sizes = list(shape)
    for dim in sorted(dims):
        sizes.insert(dim, 1)
    return tuple(sizes)


def _with_ones(sizes: Shape, dims: set[int]) -> Shape:
    """Set the lengths of some dimensions to 1."""
    return tuple(1 if d in dims else n for d, n in enumerate(sizes))


def _broadcast(left: Shape, right: Shape) -> Shape:
    """Give the lengths that two operands have together."""
    return tuple(r if n == 1 else n for n, r in zip(left, right, strict=True))
