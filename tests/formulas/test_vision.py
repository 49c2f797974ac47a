"""Detection operators of torchvision against their definitions, on numbers that count their operations."""

from __future__ import annotations

from itertools import combinations, product

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
    floor,
    maximum,
    minimum,
    numbers,
    spec,
)
from torch.nn import functional as F  # noqa: N812 - its usual name

ops = pytest.importorskip("torchvision.ops")

HEIGHT, WIDTH, BINS = 7, 6, (2, 3)
BOXES = torch.tensor([[0, 0.7, 0.4, 4.1, 5.2], [1, 1.3, 2.2, 5.9, 6.6]])


def corners(y, x, plane_shape):
    """Return the two neighbours of a position on each axis, with their weights; the index is None outside the plane."""
    axes = []
    for position, n in zip((y, x), plane_shape, strict=True):
        whole = floor(position)
        rest = position - whole
        complement, i = 1 - rest, int(whole.value)
        axes.append([(i if 0 <= i < n else None, complement), (i + 1 if 0 <= i + 1 < n else None, rest)])
    return axes


def products(rows, columns):
    return [((i, j), u * v) for (i, u), (j, v) in product(rows, columns)]


def at(plane, place, nothing):
    return nothing if None in place else plane[place]


def sampled(plane, weights, nothing):
    terms = [at(plane, place, nothing) * w for place, w in weights]
    return terms[0] + terms[1] + terms[2] + terms[3]


def sample_axis(start, step, count, n):
    """Return the two neighbours of each sample along an axis, with their weights."""
    samples = []
    for k in range(count):
        position = maximum(start + (k + 0.5) * step, 0)
        whole = floor(position)
        rest = position - whole
        i = min(int(whole.value), n - 1)
        samples.append([(i, 1 - rest), (min(i + 1, n - 1), rest)])
    return samples


def bins_of(box, grid, aligned):
    """Return the samples of each bin, each as corner indices and weights."""
    x0, y0, x1, y1 = (edge * 0.5 - 0.5 for edge in box[1:]) if aligned else (edge * 0.5 for edge in box[1:])
    wide, high = x1 - x0, y1 - y0
    if not aligned:
        wide, high = maximum(wide, 1), maximum(high, 1)
    rows = sample_axis(y0, high / (BINS[0] * grid), BINS[0] * grid, HEIGHT)
    columns = sample_axis(x0, wide / (BINS[1] * grid), BINS[1] * grid, WIDTH)
    return {
        (u, v): [products(rows[u * grid + i], columns[v * grid + j]) for i, j in product(range(grid), repeat=2)]
        for u, v in np.ndindex(BINS)
    }


@pytest.mark.parametrize("grid", [1, 2, 3])
@pytest.mark.parametrize("aligned", [True, False])
def test_aligned_regions_cost_their_samples(aligned, grid):
    x, t = torch.randn(2, 3, HEIGHT, WIDTH), Tally()
    run = lambda: ops.roi_align(x, BOXES, BINS, 0.5, grid, aligned)
    planes, out = t.array(x), np.empty((2, 3, *BINS), dtype=object)
    for k, box in enumerate(t.array(BOXES)):
        for place, samples in bins_of(box, grid, aligned).items():
            for c in range(3):
                plane = planes[int(box[0].value), c]
                values = [sampled(plane, weights, None) for weights in samples]
                out[(k, c, *place)] = sum(values[1:], values[0]) / grid**2
    assert_agree([out], [run()])
    assert counts(entry("torchvision.roi_align", run)) == t.counts


@pytest.mark.parametrize("aligned", [True, False])
def test_backward_of_aligned_regions_spreads_over_the_samples(aligned):
    x, t = torch.randn(2, 3, HEIGHT, WIDTH, requires_grad=True), Tally()
    y = ops.roi_align(x, BOXES, BINS, 0.5, 2, aligned)
    dy = torch.randn_like(y)
    cost = entry("torchvision._roi_align_backward", lambda: y.backward(dy))
    dx, gradients = t.zeros(*x.shape), t.array(dy)
    for k, box in enumerate(t.array(BOXES)):
        for place, samples in bins_of(box, 2, aligned).items():
            for c in range(3):
                share = gradients[(k, c, *place)] / 4
                for (i, j), w in (corner for weights in samples for corner in weights):
                    dx[int(box[0].value), c, i, j] = dx[int(box[0].value), c, i, j] + w * share
    assert_agree([dx], [x.grad])
    assert counts(cost) == t.counts


def test_position_sensitive_regions_cost_what_aligned_ones_do():
    x = torch.randn(2, 3 * 6, HEIGHT, WIDTH, requires_grad=True)
    sensitive = lambda: ops.ps_roi_align(x, BOXES, BINS, 0.5, 2)
    plain = lambda: ops.roi_align(x[:, :3], BOXES, BINS, 0.5, 2, aligned=True)
    assert counts(entry("torchvision.ps_roi_align", sensitive)) == counts(entry("torchvision.roi_align", plain))
    backwards = [
        entry(f"torchvision._{name}_backward", lambda run=run: backward(run()))
        for name, run in [("ps_roi_align", sensitive), ("roi_align", plain)]
    ]
    assert counts(backwards[0]) == counts(backwards[1])


@pytest.mark.parametrize("ratio", [-1, 0])
def test_without_a_ratio_boxes_are_taken_to_cover_the_map(ratio):
    x = torch.randn(2, 3, 8, 9)
    cost = entry("torchvision.roi_align", lambda: ops.roi_align(x, BOXES, (4, 3), 1.0, ratio))
    # Bins of 2·3 cover a map of 8·9. FLOPs: 8 + 2 per box, 6 per row (8) and column (9) of samples, 4 per sample (72);
    # per bin (12) and channel (3), 7 for each of 6 samples, 5 adds and a divide.
    assert counts(cost) == (2 * (10 + 17 * 6 + 72 * 4 + 12 * 3 * (6 * 7 + 6)), 0)


def test_pooled_regions_are_bounded_by_boxes_that_cover_the_map():
    x, whole = torch.randn(1, 3, 7, 5, requires_grad=True), torch.tensor([[0, 0, 0, 4.0, 6.0]])
    y = ops.roi_pool(x, whole, (3, 2))
    torch.testing.assert_close(y, F.adaptive_max_pool2d(x, (3, 2)))
    pooled = entry("torchvision.roi_pool", lambda: ops.roi_pool(x, whole, (3, 2)))
    assert counts(pooled) == counts(entry("aten.adaptive_max_pool2d", lambda: F.adaptive_max_pool2d(x, (3, 2))))
    assert counts(entry("torchvision._roi_pool_backward", lambda: backward(y))) == (y.numel(), 0)


def test_position_sensitive_pooling_averages_such_bins():
    x, whole = torch.randn(1, 3 * 6, 7, 5, requires_grad=True), torch.tensor([[0, 0, 0, 5.0, 7.0]])
    run = lambda: ops.ps_roi_pool(x, whole, (3, 2))
    # 3 by 2 bins of a map of 7·5 have 3 rows and 3 columns each: 9 rows and 6 columns in all, in 3 channels.
    assert counts(entry("torchvision.ps_roi_pool", run)) == (3 * 9 * 6, 0)
    assert counts(entry("torchvision._ps_roi_pool_backward", lambda: backward(run()))) == (3 * 6 + 3 * 9 * 6, 0)


def overlap(a, b, areas):
    """Return the intersection of two boxes over their union."""
    high, low = maximum(a[:2], b[:2]), minimum(a[2:], b[2:])
    sides = maximum(low - high, 0)
    shared = sides[0] * sides[1]
    return shared / (areas[0] + areas[1] - shared)


def test_suppression_is_bounded_by_every_pair():
    boxes = torch.tensor([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 7], [0, 4, 2, 6], [4, 0, 6, 1.0]])
    t, scores = Tally(), torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    rows = t.array(boxes)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in rows]
    suppressed = {j for i, j in combinations(range(5), 2) if overlap(rows[i], rows[j], (areas[i], areas[j])) > 0.5}
    cost = entry("torchvision.nms", lambda: ops.nms(boxes, scores, 0.5))
    assert not suppressed
    assert len(ops.nms(boxes, scores, 0.5)) == 5
    ordering = entry("aten.sort", scores.sort)
    assert cost.other_flops == t.flops + ordering.other_flops


def test_no_box_costs_nothing():
    assert counts(entry_of("torchvision.nms.default", (spec(0, dtype="int64"),), dets=spec(0, 4))) == (0, 0)


N, CHANNELS, OUT, KERNEL, SIDE = 2, 4, 6, 3, 6


def deformable(use_mask, offset_groups, groups, **options):
    places = (N, KERNEL**2 * offset_groups, 4, 4)
    offset = (torch.randn(N, 2 * places[1], 4, 4) / 2).requires_grad_(**options)
    mask = torch.rand(places).requires_grad_(**options) if use_mask else None
    weight = torch.randn(OUT, CHANNELS // groups, KERNEL, KERNEL).requires_grad_(**options)
    x = torch.randn(N, CHANNELS, SIDE, SIDE).requires_grad_(**options)
    return x, offset, weight, torch.randn(OUT).requires_grad_(**options), None, None, None, mask


def samples_of(x, offset, mask, offset_groups, t):
    """Return the samples that the kernel's taps multiply, ``(N, C, tap, 4, 4)``, and the corners of each."""
    planes, offsets = t.array(x), t.array(offset).reshape(N, offset_groups, KERNEL**2, 2, 4, 4)
    masks = None if mask is None else t.array(mask).reshape(N, offset_groups, KERNEL**2, 4, 4)
    nothing = Scalar(0.0, t)
    out, places = np.empty((N, CHANNELS, KERNEL**2, 4, 4), dtype=object), {}
    for n, group, tap, u, v in np.ndindex(N, offset_groups, KERNEL**2, 4, 4):
        dy, dx = offsets[n, group, tap, :, u, v]
        axes = corners(dy + (u + tap // KERNEL), dx + (v + tap % KERNEL), (SIDE, SIDE))
        places[n, group, tap, u, v] = axes, products(*axes)
        for c in range(CHANNELS // offset_groups):
            channel = group * (CHANNELS // offset_groups) + c
            value = sampled(planes[n, channel], places[n, group, tap, u, v][1], nothing)
            out[n, channel, tap, u, v] = value if masks is None else value * masks[n, group, tap, u, v]
    return out, places


def multiplied(columns, weight, groups):
    columns = columns.reshape(N, groups, CHANNELS // groups, KERNEL**2, 4, 4)
    weight = weight.double().reshape(groups, OUT // groups, CHANNELS // groups, KERNEL**2)
    return torch.einsum("ngckuv,gock->ngouv", columns, weight).reshape(N, OUT, 4, 4)


@pytest.mark.parametrize("use_mask", [True, False])
@pytest.mark.parametrize(("offset_groups", "groups"), [(1, 1), (2, 1), (1, 2)])
def test_deformable_convolution_costs_a_convolution_and_its_samples(use_mask, offset_groups, groups):
    args, t = deformable(use_mask, offset_groups, groups), Tally()
    x, offset, weight, bias, *_, mask = args
    run = lambda: ops.deform_conv2d(x, offset, weight, bias, mask=mask)
    columns, _ = samples_of(x, offset, mask, offset_groups, t)
    product_ = t.array(multiplied(torch.tensor(np.vectorize(lambda s: s.value)(columns)), weight, groups))
    assert_agree([product_ + t.array(bias[:, None, None])], [run()])
    cost = entry("torchvision.deform_conv2d", run)
    # On ones, without offsets, the sum of the result is the number of products.
    ones = ops.deform_conv2d(torch.ones_like(x), torch.zeros_like(offset), torch.ones_like(weight))
    assert cost.macs == ones.sum()
    assert counts(cost) == t.counts


@pytest.mark.parametrize("use_mask", [True, False])
@pytest.mark.parametrize("offset_groups", [1, 2])
def test_backward_of_deformable_convolution_costs_all_gradients(use_mask, offset_groups):
    args, t = deformable(use_mask, offset_groups, 1, requires_grad=True), Tally()
    x, offset, weight, bias, *_, mask = args
    y = ops.deform_conv2d(x, offset, weight, bias, mask=mask)
    dy = torch.randn_like(y)
    cost = entry("torchvision._deform_conv2d_backward", lambda: y.backward(dy))
    # Two products are contractions: the gradient of each sample, and that of the weight.
    sample_grads = torch.einsum("nouv,ock->nckuv", dy.double(), weight.double().reshape(OUT, CHANNELS, KERNEL**2))
    dx, doffset, dmask, db = gradients(args, t.array(sample_grads), t.array(dy), offset_groups, t)
    assert_agree([dx, doffset, dmask, db], [x.grad, offset.grad, None if mask is None else mask.grad, bias.grad])
    assert counts(cost) == t.counts
    forward = entry("torchvision.deform_conv2d", lambda: ops.deform_conv2d(x, offset, weight, bias, mask=mask))
    assert cost.macs == 2 * forward.macs


def gradients(args, sample_grads, dy, offset_groups, t):
    x, offset, _, _, *_, mask = args
    values, places = samples_of(x, offset, None, offset_groups, t)
    masks = None if mask is None else t.array(mask).reshape(N, offset_groups, KERNEL**2, 4, 4)
    planes, dx, nothing = t.array(x), t.zeros(*x.shape), Scalar(0.0, t)
    doffset = np.empty((N, offset_groups, KERNEL**2, 2, 4, 4), dtype=object)
    dmask = np.empty((N, offset_groups, KERNEL**2, 4, 4), dtype=object)
    each = CHANNELS // offset_groups
    for (n, group, tap, u, v), (axes, weights) in places.items():
        slopes, scores = [], []
        for channel in range(group * each, (group + 1) * each):
            g, value = sample_grads[n, channel, tap, u, v], values[n, channel, tap, u, v]
            if masks is not None:
                scores.append(value * g)
                _ = value * masks[n, group, tap, u, v]  # the sample, for the gradient of the weight
                g = g * masks[n, group, tap, u, v]
            for place, w in weights:
                total = at(dx[n, channel], place, nothing) + w * g
                if None not in place:
                    dx[(n, channel, *place)] = total
            slopes.append([slope * g for slope in steepness(planes[n, channel], axes, nothing)])
        doffset[n, group, tap, :, u, v] = [add([s[k] for s in slopes]) for k in (0, 1)]
        dmask[n, group, tap, u, v] = add(scores) if masks is not None else None
    return dx, doffset, None if masks is None else dmask, dy.sum((0, 2, 3))


def steepness(plane, axes, nothing):
    """Return the derivatives of a sample along y and x: differences of neighbours, weighted along the other axis."""
    (top, bottom), (left, right) = axes
    a, b, c, d = (at(plane, (i[0], j[0]), nothing) for i, j in product((top, bottom), (left, right)))
    return (c - a) * left[1] + (d - b) * right[1], (b - a) * top[1] + (d - c) * bottom[1]


def add(terms):
    return sum(terms[1:], terms[0])


def test_meta_and_cpu_cost_the_same():
    def run(device):
        x = torch.ones(2, 3, HEIGHT, WIDTH, device=device)
        return entry("torchvision.roi_align", lambda: ops.roi_align(x, BOXES.to(device), BINS, 0.5, 2))

    assert numbers(run("cpu")) == numbers(run("meta"))
