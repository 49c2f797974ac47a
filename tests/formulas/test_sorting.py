"""Sorting, selection, search and histograms: the documented conventions, and algorithms that stay within them."""

from __future__ import annotations

import math

import pytest
import torch
from formulas.scalar_operations import Tally, count_flops, counts, entry, floor

from profiler.formulas.families.sorting import log2_ceiling

aten = torch.ops.aten


def merge_sorted(numbers):
    if len(numbers) < 2:
        return numbers
    half = len(numbers) // 2
    left, right = merge_sorted(numbers[:half]), merge_sorted(numbers[half:])
    merged = []
    while left and right:
        merged.append(left.pop(0) if left[0] <= right[0] else right.pop(0))
    return merged + left + right


def search(places, value):
    """Return the insertion index of *value*, by binary search."""
    low, high = 0, len(places)
    while low < high:
        middle = (low + high) // 2
        if places[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 1000, 2**40, 2**40 + 1])
def test_the_logarithm_is_exact(n):
    steps = log2_ceiling(n)
    assert 2**steps >= n
    assert steps == 0 or 2 ** (steps - 1) < n


@pytest.mark.parametrize("n", [1, 2, 5, 16, 33])
def test_a_merge_sort_needs_no_more_compares(n):
    x, tally = torch.randn(n, dtype=torch.float64), Tally()
    result = [number.value for number in merge_sorted(tally.numbers(x))]
    assert result == x.sort().values.tolist()
    assert tally.flops <= count_flops(lambda: torch.sort(x)) == n * math.ceil(math.log2(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 30])
def test_the_longest_search_takes_as_many_compares(n):
    places = torch.arange(n, dtype=torch.float64)
    longest = 0
    for value in torch.arange(-0.5, n).tolist():
        tally = Tally()
        search(tally.numbers(places), value)
        longest = max(longest, tally.flops)
    assert count_flops(lambda: torch.searchsorted(places, torch.tensor([0.5]))) == longest
    assert count_flops(lambda: torch.bucketize(torch.zeros(5, 2), places)) == 10 * longest


@pytest.mark.parametrize(
    ("run", "flops"),
    [
        (lambda x: x.sort(0), 40 * 3),
        (lambda x: x.sort(stable=True, dim=1), 40 * 3),
        (lambda x: x.argsort(1), 40 * 3),
        (lambda x: x.msort(), 40 * 3),
        (lambda x: x[0, 0].sort(), 0),
        (lambda x: x.topk(1), 40),
        (lambda x: x.topk(3), 40 * 2),
        (lambda x: x.topk(5), 40 * 3),
        (lambda x: x.kthvalue(1), 40),
        (lambda x: x.kthvalue(5), 40),
        (lambda x: x.kthvalue(3), 40 * 2),
        (lambda x: x.median(), 40 * 5),  # 20 of 40: ⌈log₂ 21⌉
        (lambda x: x.median(1), 40 * 2),  # 3 of 5: ⌈log₂ 4⌉
        (lambda x: x.nanmedian(), 40 * 6),
        (lambda x: x.nanmedian(1), 40 * 3),
        (lambda x: x.mode(), 40 * 3 + 32),  # four compares of neighbours in each of 8 rows
        (lambda x: x.unique(), 40 * 6 + 39),
        (lambda x: torch.unique(x, dim=0), (8 * 3 + 7) * 5),
        (torch.unique_consecutive, 39),
        (lambda x: torch.unique_consecutive(x, dim=1), 4 * 8),
        (lambda x: aten.unique_dim_consecutive(x, 0), 7 * 5),
        (lambda x: torch.isin(x, torch.arange(7.0)), 7 * 3 + 40 * 3),
        (lambda x: torch.isin(x, torch.arange(8.0)), 8 * 3 + 40 * 4),
        (lambda x: torch.isin(x, 2.0), 40),
        (lambda x: torch.isin(2.0, x), 40 + 39),
        (lambda x: torch.searchsorted(x, x[:, :2].contiguous()), 16 * 3),
    ],
)  # fmt: skip
def test_a_convention_is_kept_for_eight_rows_of_five(run, flops):
    assert count_flops(lambda: run(torch.arange(40.0).reshape(8, 5))) == flops


@pytest.mark.parametrize(("n", "compares"), [(6, 2), (14, 3), (15, 4), (7, 3)])
def test_the_lower_half_of_a_row_is_selected(n, compares):
    """Of 6 the third, of 14 the seventh, of 15 the eighth and of 7 the fourth: ⌈log₂(k + 1)⌉ compares each."""
    x = torch.rand(n)
    assert count_flops(x.median) == count_flops(lambda: x.median(0)) == n * compares
    assert count_flops(x.nanmedian) == count_flops(lambda: x.nanmedian(0)) == n * compares + n


def histogram(numbers, low, high, bins):
    """Return a histogram with bins of equal width, from its definition."""
    result = [0] * bins
    for x in numbers:
        within = [x >= low, x <= high]
        place = floor((x - low) * (bins / (high - low)))
        if all(within):
            result[min(int(place.value), bins - 1)] += 1
    return result


def test_a_histogram_places_each_element_and_adds_it():
    x, tally, result = torch.rand(20, dtype=torch.float64) * 4, Tally(), []
    cost = entry("aten.histc", lambda: result.append(torch.histc(x, 4, 1, 3)))
    assert histogram(tally.numbers(x), 1, 3, 4) == result[0].tolist()
    assert counts(cost) == (tally.flops + 20, 0)  # the bin's addition


def test_a_histogram_without_a_range_finds_it_first():
    x = torch.rand(20)
    assert count_flops(lambda: torch.histc(x, 4)) == 20 * 6 + 2 * 19
    assert count_flops(lambda: torch.histogram(x, 4)) == 20 * 6 + 2 * 19
    assert count_flops(lambda: torch.histogram(x, 4, range=(0.0, 1.0))) == 20 * 6
    assert count_flops(lambda: torch.histogram(x, 4, range=(0.0, 1.0), density=True)) == 20 * 6 + 3 + 3 * 4


def test_edges_of_any_width_are_searched():
    """20 elements among 8 edges: ⌈log₂ 9⌉ compares and an addition each; a density divides 7 bins."""
    x, edges = torch.rand(20), torch.tensor([0, 0.1, 0.3, 0.4, 0.5, 0.7, 0.8, 1])
    assert count_flops(lambda: torch.histogram(x, edges)) == 20 * 5
    assert count_flops(lambda: torch.histogram(x, edges[:7])) == 20 * 4
    assert count_flops(lambda: torch.histogram(x, edges, density=True)) == 20 * 5 + 6 + 3 * 7


def test_a_histogram_of_points_places_them_in_each_dimension():
    """Ten points take a bin index in each of three dimensions, and one add each.

    Without a range, minimum and maximum are computed twice, for edges and for bins. A density divides 2·3·2 bins.
    """
    points, placement, extrema = torch.rand(10, 3), 30 * 5 + 10, 3 * 2 * 9
    ranged = lambda **of: torch.histogramdd(points, [2, 3, 2], range=[0.0, 1.0] * 3, **of)
    assert count_flops(ranged) == placement
    assert count_flops(lambda: ranged(density=True)) == placement + 11 + 3 * 12
    assert count_flops(lambda: torch.histogramdd(points, [2, 3, 2])) == placement + 2 * extrema
    edges = [torch.arange(3.0), torch.arange(4.0), torch.arange(3.0)]
    assert count_flops(lambda: torch.histogramdd(points, edges)) == 10 * (2 + 3 + 2 + 1)
    assert count_flops(lambda: torch.histogramdd(points, edges, density=True)) == 10 * (2 + 3 + 2 + 1) + 11 + 3 * 12


def test_a_histogram_of_points_on_a_line_is_a_histogram():
    points, edges = torch.rand(10, 1), torch.arange(3.0)
    assert count_flops(lambda: torch.histogramdd(points, [4])) == 10 * 6 + 2 * 2 * 9
    assert count_flops(lambda: torch.histogramdd(points, [edges])) == count_flops(
        lambda: torch.histogram(points[:, 0], edges)
    )


def test_to_count_integers_finds_the_largest_and_adds_each():
    assert count_flops(lambda: torch.bincount(torch.arange(9))) == 8 + 9
