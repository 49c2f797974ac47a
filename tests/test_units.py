"""Rounding and units of formatted numbers."""

from __future__ import annotations

import pytest

from profiler import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 MAC"), (999, "999 MAC"), (1000, "1.000 kMAC"), (999_499, "999.5 kMAC"), (999_999, "1.000 MMAC"),
        (1_814_073_344, "1.814 GMAC"), (17_564_000_000_000, "17.56 TMAC"), (10**21, "1000 EMAC"),
    ],
)  # fmt: skip
def test_counts_have_four_digits(value, text):
    assert units.count(value, "MAC") == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.000 KiB"), (3 * 2**40, "3.000 TiB")]
)
def test_sizes_are_binary(value, text):
    assert units.size(value) == text
