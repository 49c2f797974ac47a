"""Pooling against its definition: every window is averaged or compared on numbers that count their operations."""

from __future__ import annotations

from itertools import product
from math import ceil, floor

import numpy as np
import pytest
import torch
from formulas.array_operations import (
    Scalar,
    Tally,
    assert_agree,
    backward,
    counts,
    entry,
    entry_of,
    numbers,
    spec,
)
from torch.nn import functional as F  # noqa: N812 - its usual name

#: Kernel, stride, padding, ceil_mode; every window has at least one element inside the input.
STRIDED = [(2, 2, 0, False), (3, 2, 1, False), (3, 2, 0, True), (2, 3, 1, True), (3, 1, 1, False), (5, 4, 2, True)]
#: The arguments of oneDNN's and quantized pooling operators.
WINDOW = {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "ceil_mode": False}


def strided_windows(length, outputs, kernel, stride, padding, dilation=1):
    taps = [[o * stride - padding + k * dilation for k in range(kernel)] for o in range(outputs)]
    return [[i for i in window if 0 <= i < length] for window in taps]


def adaptive_windows(length, outputs):
    return [range(floor(o * length / outputs), ceil((o + 1) * length / outputs)) for o in range(outputs)]


def pooled(x, windows, join):
    """Return ``join`` of the elements of every window over the last dimensions."""
    out = np.empty((*x.shape[: -len(windows)], *map(len, windows)), dtype=object)
    for plane in np.ndindex(out.shape[: -len(windows)]):
        for place in np.ndindex(out.shape[-len(windows) :]):
            grids = np.ix_(*(list(w[o]) for w, o in zip(windows, place, strict=True)))
            out[plane + place] = join(x[plane][grids])
    return out


def spread(dy, shape, windows, share):
    """Return the sum of each gradient's share over its window; the first share of an element takes no add."""
    dx = np.zeros(shape, dtype=object)
    for plane in np.ndindex(dy.shape[: -len(windows)]):
        for place in np.ndindex(dy.shape[-len(windows) :]):
            inputs = list(product(*(w[o] for w, o in zip(windows, place, strict=True))))
            gradient = share(dy[plane + place], len(inputs))
            for i in inputs:
                current = dx[plane + i]
                dx[plane + i] = current + gradient if isinstance(current, Scalar) else gradient
    return dx


def mean(elements):
    return elements.sum() / elements.size


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode"), STRIDED)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_average_costs_what_the_windows_hold(dims, kernel, stride, padding, ceil_mode):
    x, t = torch.randn(2, 2, *(7, 6, 5)[:dims]), Tally()
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[dims]
    run = lambda: pool(x, kernel, stride, padding, ceil_mode, count_include_pad=False)
    y = run()
    sizes = zip(x.shape[2:], y.shape[2:], strict=True)
    ours = pooled(t.array(x), [strided_windows(n, o, kernel, stride, padding) for n, o in sizes], mean)
    assert_agree([ours], [y])
    assert counts(entry(f"aten.avg_pool{max(dims, 2)}d", run)) == t.counts


def test_average_over_padding_costs_no_more():
    x = torch.randn(1, 2, 6, 6)
    costs = {
        numbers(entry("aten.avg_pool2d", lambda o=options: F.avg_pool2d(x, 3, 2, 1, **o)))
        for options in ({}, {"count_include_pad": False}, {"divisor_override": 7})
    }
    assert len(costs) == 1


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode"), STRIDED)
@pytest.mark.parametrize("dims", [2, 3])
def test_backward_of_an_average_adds_where_windows_overlap(dims, kernel, stride, padding, ceil_mode):
    x, t = torch.randn(2, 1, *(7, 6, 5)[:dims], requires_grad=True), Tally()
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[dims]
    y = pool(x, kernel, stride, padding, ceil_mode, count_include_pad=False)
    dy = torch.randn_like(y)
    cost = entry(f"aten.avg_pool{dims}d_backward", lambda: y.backward(dy))
    sizes = zip(x.shape[2:], y.shape[2:], strict=True)
    windows = [strided_windows(n, o, kernel, stride, padding) for n, o in sizes]
    assert_agree([spread(t.array(dy), x.shape, windows, lambda g, size: g / size)], [x.grad])
    assert counts(cost) == t.counts
    assert cost.bytes_read == dy.numel() * 4


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil_mode"), STRIDED[:5])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_maximum_compares_what_the_windows_hold(dims, kernel, stride, padding, ceil_mode, dilation):
    x, t = torch.randn(2, 2, *(8, 7, 9)[:dims]), Tally()
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[dims]
    run = lambda: pool(x, kernel, stride, padding, dilation, ceil_mode)
    y = run()
    sizes = zip(x.shape[2:], y.shape[2:], strict=True)
    ours = pooled(t.array(x), [strided_windows(n, o, kernel, stride, padding, dilation) for n, o in sizes], np.max)
    assert_agree([ours], [y])
    assert counts(entry(f"aten.max_pool{max(dims, 2)}d_with_indices", run)) == t.counts


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("stride", "adds"), [(2, 0), (3, 0), (1, 1)])
def test_backward_of_a_maximum_adds_only_where_windows_overlap(dims, stride, adds):
    pool = {2: F.max_pool2d, 3: F.max_pool3d}[dims]
    y = pool(torch.randn(2, 3, *[6] * dims, requires_grad=True), 2, stride)
    cost = entry(f"aten.max_pool{dims}d_with_indices_backward", lambda: backward(y))
    assert counts(cost) == (adds * y.numel(), 0)
    assert cost.bytes_read == y.numel() * (4 + 8)


@pytest.mark.parametrize("outputs", [2, 3, 5, 7, 9])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_average_costs_windows_of_varying_size(dims, outputs):
    x, t = torch.randn(2, 2, *(7, 8, 5)[:dims]), Tally()
    pool = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[dims]
    size = (outputs,) + (2,) * (dims - 1)
    windows = [adaptive_windows(n, o) for n, o in zip(x.shape[2:], size, strict=True)]
    assert_agree([pooled(t.array(x), windows, mean)], [pool(x, size)])
    assert counts(entry(f"aten._adaptive_avg_pool{max(dims, 2)}d", lambda: pool(x, size))) == t.counts


@pytest.mark.parametrize("outputs", [2, 3, 7, 9])
@pytest.mark.parametrize("dims", [2, 3])
def test_backward_of_an_adaptive_average_adds_where_windows_overlap(dims, outputs):
    x, t = torch.randn(2, 1, *(7, 8, 5)[:dims], requires_grad=True), Tally()
    pool = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[dims]
    y = pool(x, (outputs,) + (3,) * (dims - 1))
    dy = torch.randn_like(y)
    cost = entry(f"aten._adaptive_avg_pool{dims}d_backward", lambda: y.backward(dy))
    windows = [adaptive_windows(n, o) for n, o in zip(x.shape[2:], y.shape[2:], strict=True)]
    assert_agree([spread(t.array(dy), x.shape, windows, lambda g, size: g / size)], [x.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize("outputs", [1, 3, 5])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_maximum_compares_windows_of_varying_size(dims, outputs):
    x, t = torch.randn(2, 2, *(7, 8, 5)[:dims]), Tally()
    pool = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}[dims]
    size = (outputs,) + (2,) * (dims - 1)
    windows = [adaptive_windows(n, o) for n, o in zip(x.shape[2:], size, strict=True)]
    assert_agree([pooled(t.array(x), windows, np.max)], [pool(x, size)])
    assert counts(entry(f"aten.adaptive_max_pool{max(dims, 2)}d", lambda: pool(x, size))) == t.counts


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("outputs", "adds"), [(2, 0), (3, 0), (4, 1)])
def test_backward_of_an_adaptive_maximum_adds_only_where_windows_overlap(dims, outputs, adds):
    pool = {2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}[dims]
    y = pool(torch.randn(1, 2, *[6] * dims, requires_grad=True), outputs)
    assert counts(entry(f"aten.adaptive_max_pool{dims}d_backward", lambda: backward(y))) == (adds * y.numel(), 0)


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_maximum_compares_whole_windows(dims):
    pool = {2: F.fractional_max_pool2d, 3: F.fractional_max_pool3d}[dims]
    x = torch.randn(2, 3, *[9] * dims, requires_grad=True)
    y = pool(x, 3, 4)
    # 3·3 elements in two dimensions are 8 compares, in three 26.
    assert counts(entry(f"aten.fractional_max_pool{dims}d", lambda: pool(x, 3, 4))) == (y.numel() * (3**dims - 1), 0)
    assert counts(entry(f"aten.fractional_max_pool{dims}d_backward", lambda: backward(y))) == (y.numel(), 0)


def test_an_image_without_batch_costs_as_a_batch_of_one():
    x = torch.randn(3, 8, 8)
    for operator, pool in [
        ("aten.avg_pool2d", lambda x: F.avg_pool2d(x, 3, 2)),
        ("aten.max_pool2d_with_indices", lambda x: F.max_pool2d(x, 3, 2)),
        ("aten._adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 3)),
    ]:
        alone, batched = (entry(operator, lambda x=x, pool=pool: pool(x)) for x in (x, x[None]))
        assert counts(alone) == counts(batched)


def test_one_number_for_all_dimensions_is_each_of_them():
    x = torch.randn(1, 2, 8, 8)
    one, two = (entry("aten.avg_pool2d", lambda k=k: torch.ops.aten.avg_pool2d(x, k, k)) for k in ([2], [2, 2]))
    assert counts(one) == counts(two)


def test_average_of_a_large_window_counts_each_element_once():
    # Global pooling of 512 planes of 7·7: 48 adds and a divide each.
    cost = entry("aten.avg_pool2d", lambda: F.avg_pool2d(torch.ones(1, 512, 7, 7), 7))
    assert counts(cost) == (512 * 49, 0)


@pytest.mark.parametrize("name", ["mkldnn_max_pool2d", "quantized_max_pool2d"])
def test_other_kernels_of_a_maximum_cost_the_same(name):
    own = entry("aten.max_pool2d_with_indices", lambda: F.max_pool2d(torch.ones(2, 3, 9, 9), 3, 2, 1))
    cost = entry_of(f"aten.{name}.default", (spec(2, 3, 5, 5),), self=spec(2, 3, 9, 9), **WINDOW)
    assert counts(cost) == counts(own)


def test_backward_of_another_kernel_costs_the_same():
    y = F.max_pool2d(torch.ones(2, 3, 9, 9, requires_grad=True), 3, 2, 1)
    own = entry("aten.max_pool2d_with_indices_backward", lambda: backward(y))
    cost = entry_of("aten.mkldnn_max_pool2d_backward.default", (spec(2, 3, 9, 9),), grad_output=spec(2, 3, 5, 5),
                   output=spec(2, 3, 5, 5), input=spec(2, 3, 9, 9), **WINDOW)  # fmt: skip
    assert counts(cost) == counts(own) == (2 * 3 * 25, 0)


@pytest.mark.parametrize(
    ("operator", "pool"),
    [
        ("max_pool2d_with_indices", lambda x: F.max_pool2d(x, 3)),
        ("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, 3)),
        ("fractional_max_pool2d", lambda x: F.fractional_max_pool2d(x, 3, 3)),
    ],
)
def test_backward_of_a_maximum_reads_gradients_and_indices_alone(operator, pool):
    y = pool(torch.ones(1, 2, 9, 9, requires_grad=True))
    cost = entry(f"aten.{operator}_backward", lambda: backward(y))
    # 18 gradients of 4 bytes and as many indices of 8; the result is of the input's size.
    assert (cost.bytes_read, cost.bytes_written) == (18 * (4 + 8), 2 * 81 * 4)


@pytest.mark.parametrize(
    ("operator", "run"),
    [
        ("aten.avg_pool2d", lambda x: F.avg_pool2d(x, 3, 2, 1)),
        ("aten.avg_pool2d_backward", lambda x: backward(F.avg_pool2d(x, 3, 2, 1))),
        ("aten.max_pool2d_with_indices", lambda x: F.max_pool2d(x, 3, 2, 1)),
        ("aten.max_pool2d_with_indices_backward", lambda x: backward(F.max_pool2d(x, 3, 2, 1))),
        ("aten._adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 3)),
        ("aten.adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, 3)),
    ],
)
def test_meta_and_cpu_cost_the_same(operator, run):
    cpu, meta = (torch.ones(2, 3, 8, 8, device=device, requires_grad=True) for device in ("cpu", "meta"))
    assert numbers(entry(operator, lambda: run(cpu))) == numbers(entry(operator, lambda: run(meta)))
