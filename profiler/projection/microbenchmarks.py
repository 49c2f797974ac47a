"""The rates of the device that torch runs on: products, convolutions, memory, and the least time of an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import torch
from torch.nn import functional

from profiler.util.timing import time_calls

if TYPE_CHECKING:
    from collections.abc import Callable

#: (size, rate), by growing size.
Curve = tuple[tuple[float, float], ...]


class Rates(TypedDict):
    """What one benchmark finds."""

    gemm: dict[str, Curve]
    convolution: Curve
    depthwise: Curve
    bandwidth: Curve
    floor_s: float


_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
#: Sides of square products on a CPU and on an accelerator, which needs larger ones.
_SIDES = {"cpu": (32, 64, 128, 256, 512, 1024), "cuda": (128, 256, 512, 1024, 2048, 4096, 8192)}
#: Channels and height of images for 3×3 convolutions of one image: as deep networks have them.
_IMAGES = {"cpu": ((32, 14), (64, 28), (128, 28), (256, 28), (128, 112)), "cuda": ((64, 56), (256, 56), (512, 56))}
#: Bytes of a copy's operands.
_COPIES = {"cpu": tuple(2**n for n in range(14, 29, 2)), "cuda": tuple(2**n for n in range(18, 33, 2))}
_RUNS, _WARM = 7, 2
#: A dtype in which a middling product runs below this share of float32 is emulated, and larger ones would take minutes.
_EMULATED, _TRIED = 0.2, 2


def benchmark(device: torch.device) -> Rates:
    """Measure; this takes some seconds. The best of several runs counts: a bound has to be out of reach."""
    with torch.no_grad():
        return Rates(
            gemm=_gemms(device),
            convolution=tuple(_convolution(device, c, side, groups=1) for c, side in _IMAGES[device.type]),
            depthwise=tuple(sorted(_convolution(device, c, side, groups=c) for c, side in _IMAGES[device.type])),
            bandwidth=tuple(_copy(device, size) for size in _COPIES[device.type]),
            floor_s=_floor(device),
        )


def _gemms(device: torch.device) -> dict[str, Curve]:
    curves = {str(torch.float32).removeprefix("torch."): _gemm_curve(device, torch.float32)}
    for dtype in _DTYPES[1:]:
        _, rate = _gemm(device, dtype, _SIDES[device.type][_TRIED])
        if rate > _EMULATED * curves["float32"][_TRIED][1]:
            curves[str(dtype).removeprefix("torch.")] = _gemm_curve(device, dtype)
    return curves


def _gemm_curve(device: torch.device, dtype: torch.dtype) -> Curve:
    return tuple(_gemm(device, dtype, side) for side in _SIDES[device.type])


def _gemm(device: torch.device, dtype: torch.dtype, side: int) -> tuple[float, float]:
    """Time a square product: ``2·n³`` operations."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    operations = 2 * side**3
    return operations, operations / _best(lambda: a @ b, device)


def _convolution(device: torch.device, channels: int, side: int, *, groups: int) -> tuple[float, float]:
    """Time a 3×3 convolution of one image that keeps its size: ``2·9·C²/groups·H·W`` operations, padding included."""
    image = torch.randn(1, channels, side, side, device=device)
    weight = torch.randn(channels, channels // groups, 3, 3, device=device)
    operations = 2 * 9 * channels * channels // groups * side * side
    return operations, operations / _best(lambda: functional.conv2d(image, weight, padding=1, groups=groups), device)


def _copy(device: torch.device, size: int) -> tuple[float, float]:
    """Time reading half of *size* bytes and writing the other half."""
    source = torch.zeros(size // 8, device=device)
    target = torch.empty_like(source)
    return size, size / _best(lambda: torch.add(source, 1.0, out=target), device)


def _floor(device: torch.device) -> float:
    """Time an operator on so little that only its launch is left."""
    source = torch.zeros(8, device=device)
    many = 200

    def launches() -> None:
        for _ in range(many):
            source.relu()

    return _best(launches, device) / many


def _best(call: Callable[[], object], device: torch.device) -> float:
    return min(time_calls(call, device, runs=_RUNS, warm=_WARM))
