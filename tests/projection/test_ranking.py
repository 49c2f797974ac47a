"""Whether a ranked device sustains a rate: at the worst of its range, by its estimate alone, or not at all."""

from __future__ import annotations

import pytest
from projection.counted import counted

from profiler.devices import find_device
from profiler.errors import InputError
from profiler.projection.ranking import rank, read_prices


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


def test_the_cheapest_is_of_those_that_have_a_price_and_hold_the_rate():
    def cheapest(fps, **prices):
        devices = map(find_device, ("l4", "t4", "h100-sxm5-80gb"))
        ranking = rank(counted("resnet18", batch=8), devices, precision="fp16", fps=fps, prices=prices)
        return ranking.cheapest and ranking.cheapest.device.id

    assert cheapest(1) is None
    assert cheapest(1, l4=2500) == "l4"
    assert cheapest(1, l4=2500, t4=900) == "t4"
    assert cheapest(1e9, l4=2500, t4=900) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("device,price\nl4,2500\nt4,9\r00\n", "line 3: new-line character"),
        ("device,pri\rce\n", "line 1: new-line character"),
        ("device,price\nl4,2500\nt4,x\n", "line 3: the price is 'x'"),
        ("device,price\nl4,-1\n", "line 2: the price is -1"),
        ("device\nl4\n", "has no column price"),
    ],
)
def test_a_wrong_file_of_prices_is_refused_with_its_line(tmp_path, text, line):
    path = tmp_path / "prices.csv"
    path.write_bytes(text.encode())
    with pytest.raises(InputError) as caught:
        read_prices(path)
    assert line in str(caught.value)


def test_prices_are_read_by_device(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("device,price\n l4 ,2500\nt4,9e2\n")
    assert read_prices(path) == {"l4": 2500.0, "t4": 900.0}
