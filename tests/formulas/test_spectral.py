"""Fourier transforms: the convention against the butterflies of a radix-2 FFT, and in closed form."""

from __future__ import annotations

from math import ceil, log2

import pytest
import torch
from formulas.array_operations import counts, entry, entry_of, numbers, spec


def radix_2_flops(n):
    """Return the real FLOPs of a radix-2 FFT: n/2 butterflies per level, of 10 FLOPs (a product 6, two sums 4)."""
    return 0 if n == 1 else 2 * radix_2_flops(n // 2) + n // 2 * 10


@pytest.mark.parametrize("n", [1, 2, 8, 64, 1024])
def test_a_complex_transform_of_a_power_of_two_costs_its_butterflies(n):
    x = torch.randn(3, n, dtype=torch.complex64)
    assert counts(entry("aten._fft_c2c", lambda: torch.fft.fft(x))) == (3 * radix_2_flops(n), 0)


@pytest.mark.parametrize("n", [2, 8, 64])
def test_a_real_transform_costs_half_of_a_complex_one(n):
    x, y = torch.randn(3, n), torch.randn(3, n // 2 + 1, dtype=torch.complex64)
    assert counts(entry("aten._fft_r2c", lambda: torch.fft.rfft(x))) == (3 * radix_2_flops(n) // 2, 0)
    inverse = entry("aten._fft_c2r", lambda: torch.fft.irfft(y, n=n, norm="forward"))
    assert counts(inverse) == (3 * radix_2_flops(n) // 2, 0)


@pytest.mark.parametrize("n", [3, 7, 12, 1000])
def test_any_other_length_is_rounded_up_for_each_transform(n):
    x = torch.randn(5, n, dtype=torch.complex64)
    assert counts(entry("aten._fft_c2c", lambda: torch.fft.fft(x))) == (5 * ceil(5 * n * log2(n)), 0)


def test_several_dimensions_are_transforms_along_each():
    x = torch.randn(3, 8, 16, dtype=torch.complex64)
    # Rows, then columns: 8 transforms of 16 points and 16 of 8, in each of three images.
    rows_and_columns = 3 * (8 * radix_2_flops(16) + 16 * radix_2_flops(8))
    assert counts(entry("aten._fft_c2c", lambda: torch.fft.fft2(x))) == (rows_and_columns, 0)


@pytest.mark.parametrize("norm", ["ortho", "forward"])
def test_scaling_is_a_multiply_of_each_result(norm):
    x = torch.randn(3, 8)
    plain, scaled = (entry("aten._fft_r2c", lambda n=n: torch.fft.rfft(x, norm=n)) for n in ("backward", norm))
    assert scaled.other_flops - plain.other_flops == 3 * 5


def test_the_length_is_that_of_the_real_side():
    y = torch.randn(5, dtype=torch.complex64)
    even, odd = (entry("aten._fft_c2r", lambda n=n: torch.fft.irfft(y, n=n, norm="forward")) for n in (8, 9))
    assert (even.other_flops, odd.other_flops) == (ceil(2.5 * 8 * 3), ceil(2.5 * 9 * log2(9)))


def test_frequencies_are_scaled_indices():
    assert counts(entry("aten.fft_fftfreq", lambda: torch.fft.fftfreq(8))) == (8, 0)
    assert counts(entry("aten.fft_rfftfreq", lambda: torch.fft.rfftfreq(8))) == (5, 0)


def test_no_transforms_cost_nothing():
    empty = spec(0, 8, dtype="complex64")
    cost = entry_of("aten._fft_c2c.default", (empty,), self=empty, dim=(1,), normalization=0, forward=True)
    assert counts(cost) == (0, 0)


def test_meta_and_cpu_cost_the_same():
    cpu, meta = (
        entry("aten._fft_r2c", lambda d=d: torch.fft.rfft2(torch.ones(2, 6, 5, device=d))) for d in ("cpu", "meta")
    )
    assert numbers(cpu) == numbers(meta)
