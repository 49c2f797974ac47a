"""Fourier transforms, by the convention in which their speed is stated.

A complex transform of N points counts ``5·N·log₂N`` real FLOPs, a real one half of that, whatever the algorithm and
whatever N (rounded up to a whole number for each transform). Over several dimensions N is the number of points of all
of them. Scaling is one multiply more for each element of the result. Twiddle factors are tables.

Source: Frigo and Johnson, benchFFT, "FFT Benchmark Methodology", https://www.fftw.org/speed/method.html ("mflops").
"""

from __future__ import annotations

from math import ceil, log2, prod
from typing import TYPE_CHECKING

from profiler.formulas.registry import formula
from profiler.values.records import Cost

if TYPE_CHECKING:
    from profiler.values.records import Shape

_COMPLEX, _REAL = 5.0, 2.5


@formula("aten::_fft_c2c")
def fft_c2c(self: Shape, dim: Shape, normalization: int) -> Cost:
    """Count complex transforms of the points along *dim*, one for each place in the other dimensions."""
    return _transforms(_COMPLEX, self, dim, self, normalization)


@formula("aten::_fft_r2c")
def fft_r2c(self: Shape, dim: Shape, normalization: int, out: Shape) -> Cost:
    """Count real transforms; N is the length of the real input."""
    return _transforms(_REAL, self, dim, out, normalization)


@formula("aten::_fft_c2r")
def fft_c2r(dim: Shape, normalization: int, out: Shape) -> Cost:
    """Count inverse real transforms; N is the length of the real output."""
    return _transforms(_REAL, out, dim, out, normalization)


@formula("aten::fft_fftfreq", "aten::fft_rfftfreq")
def fft_frequencies(out: Shape) -> Cost:
    """Scale each index."""
    return Cost(other_flops=prod(out))


def _transforms(factor: float, points: Shape, dim: Shape, out: Shape, normalization: int) -> Cost:
    n = prod(points[d] for d in dim)
    each = ceil(factor * n * log2(n))
    return Cost(other_flops=prod(points) // n * each + prod(out) * (normalization != 0))
