"""Units: how they are parsed, which are compatible, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest

from profiler.errors import ExpressionError
from profiler.expressions import base_magnitude, dimension, parse, parse_quantity, parse_unit


@pytest.mark.parametrize(
    ("quantity", "unit", "number"),
    [
        ("17.6 GFLOP", "FLOP", 17_600_000_000),
        ("67 GB/s", "byte/s", 67 * 10**9),
        ("11 GiB", "byte", 11 * 2**30),
        ("2 day", "s", 172_800),
        ("30 Hz", "1/s", 30),
        ("5 Gop", "FLOP", 5 * 10**9),
        ("46.2 percent", "", Fraction(462, 1000)),
        ("2.5e-3 TOPS", "FLOP/s", Fraction(25 * 10**8)),
    ],
)
def test_a_quantity_has_a_number_in_base_units(quantity, unit, number):
    assert base_magnitude(parse_quantity(quantity), unit) == number


def test_a_rate_times_a_time_is_an_amount():
    assert base_magnitude(parse_quantity("2 TFLOPS") * parse_quantity("3 s"), "GFLOP") == 6 * 10**12


def test_work_over_a_rate_is_a_time():
    assert dimension(parse_quantity("1000 FLOP") / parse_quantity("10 FLOPS")) == parse_unit("s")


def test_the_sizes_of_a_formula_are_numbers_even_if_they_have_the_letter_of_a_unit():
    assert dimension(parse("8*B*s") * parse_unit("FLOP")) == parse_unit("FLOP")


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [("1 MAC", "FLOP"), ("1 FLOP", "FLOPS"), ("1 GB", "GB/s"), ("1", "byte"), ("1 parameter", "byte")],
)
def test_incompatible_units_are_refused(quantity, unit):
    with pytest.raises(ExpressionError, match="incompatible units"):
        base_magnitude(parse_quantity(quantity), unit)


def test_a_sum_of_two_dimensions_is_incompatible_with_both():
    with pytest.raises(ExpressionError, match="incompatible units"):
        base_magnitude(parse_quantity("1 GB") + parse_quantity("1 s"), "GB")


@pytest.mark.parametrize("text", ["GFLOP + 1", "furlong", "__import__('os')", "s[0]", "9**9**9", "GB/s/"])
def test_a_text_that_is_no_unit_is_refused(text):
    with pytest.raises(ExpressionError):
        parse_unit(text)


@pytest.mark.parametrize("text", ["many GB", "", "GB", "1 2 GB"])
def test_a_text_that_is_no_quantity_is_refused(text):
    with pytest.raises(ExpressionError):
        parse_quantity(text)
