"""List which inputs each output reads along one dimension: the windows of pooling, the neighbours of interpolation.

The functions return one window per output, clipped to the inputs that exist. The window of an output of several
dimensions is the product of its windows along each of them, so ``reads`` and ``distinct_inputs`` multiply. Positions
are exact fractions. The scale is always the ratio of the two sizes, even if the call passed a ``scale_factor``.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: For each output the inputs that it reads; an input can occur twice.
    Windows = list[Sequence[int]]

_HALF = Fraction(1, 2)


def strided(length: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> Windows:
    """Return the windows of a sliding kernel of *kernel* taps; taps in the padding are left out."""
    starts = range(-padding, outputs * stride - padding, stride)
    firsts = (start if start >= 0 else start % dilation for start in starts)
    return [
        range(first, min(start + kernel * dilation, length), dilation)
        for first, start in zip(firsts, starts, strict=True)
    ]


def adaptive(length: int, outputs: int) -> Windows:
    """Return the windows of adaptive pooling: output o reads inputs ``⌊o·L/O⌋`` to ``⌈(o + 1)·L/O⌉ − 1``.

    Adjacent windows overlap in one input if O does not divide L.

    Source: start_index and end_index in torch's aten/src/ATen/native/AdaptivePooling.h.
    """
    return [range(o * length // outputs, -(-(o + 1) * length // outputs)) for o in range(outputs)]


def neighbours(length: int, outputs: int, count: int, *, align_corners: bool) -> Windows:
    """Return the *count* inputs nearest to each output's position; beyond the border the outermost input repeats.

    Source: area_pixel_compute_source_index in torch's aten/src/ATen/native/UpSample.h.
    """
    scale, shift = _scale(length, outputs, align_corners), Fraction(0) if align_corners else _HALF
    firsts = [floor(scale * (o + shift) - shift) - count // 2 + 1 for o in range(outputs)]
    return [[min(max(i, 0), length - 1) for i in range(first, first + count)] for first in firsts]


def filtered(length: int, outputs: int, width: int, *, align_corners: bool) -> Windows:
    """Return the inputs under an antialiasing filter: those whose centres lie within ``width/2`` of the output's.

    The distance is measured in inputs when enlarging, and in outputs when shrinking.

    Source: _compute_indices_min_size_weights_aa in torch's aten/src/ATen/native/cpu/UpSampleKernel.cpp.
    """
    scale = _scale(length, outputs, align_corners)
    reach = Fraction(width, 2) * max(scale, Fraction(1))
    centres = [scale * (o + _HALF) - _HALF for o in range(outputs)]
    return [range(max(floor(c - reach) + 1, 0), min(ceil(c + reach), length)) for c in centres]


def reads(windows: Windows) -> int:
    """Count the inputs that all windows read, with repetitions."""
    return sum(len(window) for window in windows)


def distinct_inputs(windows: Windows) -> int:
    """Count the inputs that at least one window reads; *windows* must be sorted by their first input."""
    contiguous = [window for window in windows if isinstance(window, range) and window.step == 1]
    if len(contiguous) < len(windows):
        return len({i for window in windows for i in window})
    total = end = 0
    for window in contiguous:
        total += len(range(max(window.start, end), window.stop))
        end = max(end, window.stop)
    return total


def _scale(length: int, outputs: int, align_corners: bool) -> Fraction:
    """Return the distance between adjacent outputs, in inputs."""
    if not align_corners:
        return Fraction(length, outputs)
    return Fraction(length - 1, outputs - 1) if outputs > 1 else Fraction(0)
