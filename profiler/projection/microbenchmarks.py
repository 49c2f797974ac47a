"""Micro-benchmarks of the device that torch runs on: matrix products, convolutions, bandwidth, and launch overhead."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from profiler.util.lazy_imports import LazyModule
from profiler.util.timing import time_calls

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
else:
    torch = LazyModule("torch")

#: Pairs of size and rate per second, by increasing size.
Curve = tuple[tuple[float, float], ...]


class Rates(TypedDict):
    """The measured rates of a device."""

    #: FLOP/s of square matrix products by FLOPs of one product, for each dtype.
    gemm: dict[str, Curve]
    #: FLOP/s of dense and of depthwise float32 convolutions, by FLOPs of one convolution.
    convolution: Curve
    depthwise: Curve
    #: Bytes/s by bytes of operands and results.
    bandwidth: Curve
    #: Seconds of an operator on next to no data.
    floor_s: float


_HALF = ("bfloat16", "float16")
#: Sides of square matrix products. Accelerators need larger ones to reach their peak.
_SIDES = {"cpu": (32, 64, 128, 256, 512, 1024), "cuda": (128, 256, 512, 1024, 2048, 4096, 8192)}
#: Channels and height of the images for 3×3 convolutions, as in deep networks.
_IMAGES = {"cpu": ((32, 14), (64, 28), (128, 28), (256, 28), (128, 112)), "cuda": ((64, 56), (256, 56), (512, 56))}
#: Bytes of an operand and its result.
_COPIES = {"cpu": tuple(2**n for n in range(14, 29, 2)), "cuda": tuple(2**n for n in range(18, 33, 2))}
_RUNS, _WARMUP_RUNS = 7, 2
#: A dtype is emulated, and left out, if its rate at a middle size is below this fraction of float32's: larger products
#: would take minutes.
_EMULATED, _MIDDLE_SIDE = 0.2, 2


def benchmark(device: torch.device) -> Rates:
    """Measure the rates of a device, in some seconds.

    Each rate is that of the fastest of several runs, because a bound must not be below what the device can reach.
    """
    with torch.no_grad():
        return Rates(
            gemm=_gemm_curves(device),
            convolution=tuple(_convolution(device, c, side, groups=1) for c, side in _IMAGES[device.type]),
            depthwise=tuple(sorted(_convolution(device, c, side, groups=c) for c, side in _IMAGES[device.type])),
            bandwidth=tuple(_copy(device, size) for size in _COPIES[device.type]),
            floor_s=_launch_s(device),
        )


def _gemm_curves(device: torch.device) -> dict[str, Curve]:
    """Return the curve of float32, and of the 16-bit dtypes that are not emulated."""
    curves = {"float32": _gemm_curve(device, torch.float32)}
    for dtype in (getattr(torch, name) for name in _HALF):
        _, rate = _gemm(device, dtype, _SIDES[device.type][_MIDDLE_SIDE])
        if rate > _EMULATED * curves["float32"][_MIDDLE_SIDE][1]:
            curves[str(dtype).removeprefix("torch.")] = _gemm_curve(device, dtype)
    return curves


def _gemm_curve(device: torch.device, dtype: torch.dtype) -> Curve:
    return tuple(_gemm(device, dtype, side) for side in _SIDES[device.type])


def _gemm(device: torch.device, dtype: torch.dtype, side: int) -> tuple[float, float]:
    """Time a product of two ``(n, n)`` matrices: ``2·n³`` FLOPs."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    flops = 2 * side**3
    return flops, flops / _fastest_s(lambda: a @ b, device)


def _convolution(device: torch.device, channels: int, side: int, *, groups: int) -> tuple[float, float]:
    """Time a padded 3×3 convolution of a ``(1, C, H, H)`` image: ``2·9·C²/groups·H²`` FLOPs, padding included."""
    image = torch.randn(1, channels, side, side, device=device)
    weight = torch.randn(channels, channels // groups, 3, 3, device=device)
    flops = 2 * 9 * channels * channels // groups * side * side
    return flops, flops / _fastest_s(
        lambda: torch.nn.functional.conv2d(image, weight, padding=1, groups=groups), device
    )


def _copy(device: torch.device, size: int) -> tuple[float, float]:
    """Time an operator that reads half of *size* bytes and writes the other half."""
    source = torch.zeros(size // 8, device=device)
    target = torch.empty_like(source)
    return size, size / _fastest_s(lambda: torch.add(source, 1.0, out=target), device)


def _launch_s(device: torch.device) -> float:
    """Time an operator on 8 numbers, which is its launch overhead."""
    source = torch.zeros(8, device=device)
    launches = 200

    def launch() -> None:
        for _ in range(launches):
            source.relu()

    return _fastest_s(launch, device) / launches


def _fastest_s(call: Callable[[], object], device: torch.device) -> float:
    return min(time_calls(call, device, runs=_RUNS, warmup_runs=_WARMUP_RUNS))
