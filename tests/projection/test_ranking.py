"""Whether a ranked device sustains a rate: at the worst of its range, by its estimate alone, or not at all."""

from __future__ import annotations

import pytest
from projection.counted import counted

from profiler.devices import find_device
from profiler.projection.ranking import rank


@pytest.mark.parametrize(
    ("end", "times", "holds", "may_hold"),
    [
        ("estimate_high_s", 0.99, True, True),
        ("estimate_high_s", 1.01, False, True),
        ("estimate_s", 0.99, False, True),
        ("estimate_s", 1.01, False, False),
    ],
)
def test_a_rate_is_held_up_to_the_worst_of_the_range_and_perhaps_up_to_the_estimate(end, times, holds, may_hold):
    def row(fps=None):
        return rank(counted("resnet18", batch=8), [find_device("l4")], precision="fp16", fps=fps).rows[0]

    estimate = row().projection
    assert estimate.estimate_s.value < estimate.estimate_high_s.value
    asked = row(times / getattr(estimate, end).value)
    assert (asked.holds, asked.may_hold) == (holds, may_hold)
