"""Windows against their elements, listed one by one."""

from __future__ import annotations

from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from profiler.formulas import spatial_geometry

few, some = st.integers(1, 5), st.integers(1, 12)


@given(some, some, st.tuples(few, few, st.integers(0, 4), st.integers(1, 3)))
def test_sliding_windows_are_clipped_to_the_inputs(length, outputs, window):
    kernel, stride, padding, dilation = window
    starts = [o * stride - padding for o in range(outputs)]
    listed = [[i for i in range(s, s + kernel * dilation, dilation) if 0 <= i < length] for s in starts]
    windows = spatial_geometry.strided(length, outputs, kernel, stride, padding, dilation)
    assert list(map(list, windows)) == listed
    assert spatial_geometry.reads(windows) == sum(map(len, listed))
    assert spatial_geometry.distinct_inputs(windows) == len(set().union(*listed))


@given(some, some)
def test_adaptive_windows_reach_every_input(length, outputs):
    windows = spatial_geometry.adaptive(length, outputs)
    assert spatial_geometry.distinct_inputs(windows) == length
    # Torch averages a one-hot input: a window holds as many inputs as give it something.
    y = torch.nn.functional.adaptive_avg_pool1d(torch.eye(length)[None], outputs)
    assert [len(window) for window in windows] == y[0].count_nonzero(0).tolist()


@given(some, some, st.sampled_from([2, 4, 6]))
def test_a_filter_reads_the_inputs_within_its_width(length, outputs, width):
    scale = Fraction(length, outputs)
    reach = max(scale, 1) * width / 2
    centres = [scale * (2 * o + 1) / 2 for o in range(outputs)]
    listed = [[i for i in range(length) if abs(Fraction(2 * i + 1, 2) - c) < reach] for c in centres]
    assert list(map(list, spatial_geometry.filtered(length, outputs, width, align_corners=False))) == listed


def test_windows_of_a_long_signal_are_not_listed():
    windows = spatial_geometry.strided(100_000, 1_001, 99_000, 1, 0)
    assert (spatial_geometry.reads(windows), spatial_geometry.distinct_inputs(windows)) == (1_001 * 99_000, 100_000)
