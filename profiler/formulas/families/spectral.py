"""Fast Fourier transforms, by the FLOP convention of FFT benchmarks.

A complex transform of N points counts ``5·N·log₂N`` real FLOPs and a real one half of that, whatever the algorithm is
and for every N; each transform is rounded up to an integer. A multi-dimensional transform has the product of its sizes
as N. Normalisation adds one multiply per element of the result. Twiddle factors are tables and not counted.

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
    """Count complex transforms over *dim*, one per index of the other dimensions."""
    return _transforms(_COMPLEX, self, dim, self, normalization)


@formula("aten::_fft_r2c")
def fft_r2c(self: Shape, dim: Shape, normalization: int, out: Shape) -> Cost:
    """Count real-to-complex transforms; N is the size of the real input."""
    return _transforms(_REAL, self, dim, out, normalization)


@formula("aten::_fft_c2r")
def fft_c2r(dim: Shape, normalization: int, out: Shape) -> Cost:
    """Count complex-to-real transforms; N is the size of the real output."""
    return _transforms(_REAL, out, dim, out, normalization)


@formula("aten::fft_fftfreq", "aten::fft_rfftfreq")
def fft_frequencies(out: Shape) -> Cost:
    """Count one multiply per frequency."""
    return Cost(other_flops=prod(out))


def _transforms(factor: float, points: Shape, dim: Shape, out: Shape, normalization: int) -> Cost:
    n = prod(points[d] for d in dim)
    each = ceil(factor * n * log2(n))
    return Cost(other_flops=prod(points) // n * each + prod(out) * (normalization != 0))
