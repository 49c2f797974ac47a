"""Which inputs the outputs of one dimension read: the windows of pooling, the neighbours of interpolation.

Each function gives one window an output, clipped to the inputs that are there. Over several dimensions windows are
products, and so are ``reads`` and ``reached``. Positions are exact fractions of the sizes; a ``scale_factor`` is taken
to be what the two sizes say.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: The inputs that each output reads; one may be named twice.
    Windows = list[Sequence[int]]

_HALF = Fraction(1, 2)


def strided(length: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> Windows:
    """Slide a window of *kernel* taps; what hangs over the border is not there."""
    starts = range(-padding, outputs * stride - padding, stride)
    firsts = (start if start >= 0 else start % dilation for start in starts)
    return [
        range(first, min(start + kernel * dilation, length), dilation)
        for first, start in zip(firsts, starts, strict=True)
    ]


def adaptive(length: int, outputs: int) -> Windows:
    """Part the inputs among the outputs, from ``⌊o·L/O⌋`` up to ``⌈(o + 1)·L/O⌉``; neighbours may share one.

    Source: start_index and end_index in torch's aten/src/ATen/native/AdaptivePooling.h.
    """
    return [range(o * length // outputs, -(-(o + 1) * length // outputs)) for o in range(outputs)]


def neighbours(length: int, outputs: int, count: int, *, align_corners: bool) -> Windows:
    """Take the *count* inputs around each output's position; at the border the last one again.

    Source: area_pixel_compute_source_index in torch's aten/src/ATen/native/UpSample.h.
    """
    scale, shift = _scale(length, outputs, align_corners), Fraction(0) if align_corners else _HALF
    firsts = [floor(scale * (o + shift) - shift) - count // 2 + 1 for o in range(outputs)]
    return [[min(max(i, 0), length - 1) for i in range(first, first + count)] for first in firsts]


def filtered(length: int, outputs: int, width: int, *, align_corners: bool) -> Windows:
    """Take what an antialiasing filter covers.

    Inputs whose centre lies within ``width/2`` of the output's: inputs where it enlarges, outputs where it shrinks.

    Source: _compute_indices_min_size_weights_aa in torch's aten/src/ATen/native/cpu/UpSampleKernel.cpp.
    """
    scale = _scale(length, outputs, align_corners)
    reach = Fraction(width, 2) * max(scale, Fraction(1))
    centres = [scale * (o + _HALF) - _HALF for o in range(outputs)]
    return [range(max(floor(c - reach) + 1, 0), min(ceil(c + reach), length)) for c in centres]


def reads(windows: Windows) -> int:
    """Count what all windows read."""
    return sum(len(window) for window in windows)


def reached(windows: Windows) -> int:
    """Count the inputs that any window reads; windows come in the order of their beginnings."""
    unbroken = [window for window in windows if isinstance(window, range) and window.step == 1]
    if len(unbroken) < len(windows):
        return len({i for window in windows for i in window})
    total = end = 0
    for window in unbroken:
        total += len(range(max(window.start, end), window.stop))
        end = max(end, window.stop)
    return total


def _scale(length: int, outputs: int, align_corners: bool) -> Fraction:
    """Say how far apart two outputs are, in inputs."""
    if not align_corners:
        return Fraction(length, outputs)
    return Fraction(length - 1, outputs - 1) if outputs > 1 else Fraction(0)
