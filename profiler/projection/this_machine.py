"""This machine as a device, for ``--on local``: its rates are measured once, and cached with its identity and the date.

Measured are the rates of matrix products (by dtype and size) and of convolutions (dense and depthwise), the bandwidth
(by size), and the launch overhead of an operator. The highest rates are the peaks for the bound; the rates by size give
the estimate.
"""

from __future__ import annotations

import json
import os
import platform
from bisect import bisect_left
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ConfigDict, TypeAdapter, ValidationError

from profiler.devices import Device, Source, find_device
from profiler.errors import InputError, OutputError
from profiler.projection.microbenchmarks import Curve, benchmark
from profiler.projection.time_table import TimeParts
from profiler.util.files import write_whole
from profiler.util.json_files import parse_json, read_json_text
from profiler.util.lazy_imports import LazyModule
from profiler.util.user_cache import cache_folder

if TYPE_CHECKING:
    import torch

    from profiler.devices import Precision
    from profiler.projection.time_model import TimeModel
    from profiler.projection.time_table import Validation
    from profiler.projection.work import Work
else:
    torch = LazyModule("torch")

LOCAL = "local"
_PRECISIONS: dict[str, Precision] = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
#: Bytes of operands that exceed the caches of most processors. On a processor with larger caches the bandwidth comes
#: out too high, and the bound remains a bound.
_BEYOND_CACHE = 64 * 2**20


@dataclass(frozen=True, slots=True)
class MeasuredMachine:
    """The measured rates of a machine; also the ``TimeModel`` that estimates times from them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    identity: dict[str, str]
    date: str
    memory_bytes: int
    #: FLOP/s of matrix products by FLOPs of one call, for each dtype.
    gemm: dict[str, Curve]
    #: FLOP/s of dense and of depthwise float32 convolutions, by FLOPs of one call.
    convolution: Curve
    depthwise: Curve
    #: Bytes/s by bytes of one call.
    bandwidth: Curve
    #: Seconds of an operator on next to no data.
    floor_s: float

    @property
    def device(self) -> Device:
        """The machine in the form of a catalogue entry."""
        name = f"{self.identity['processor']}, {self.identity['threads']} threads"
        source = f"measured on {name}, torch {self.identity['torch']}, {self.date}"
        convolution_peak = max(rate for _, rate in self.convolution)
        peaks = {_PRECISIONS[dtype]: max(rate for _, rate in curve) for dtype, curve in self.gemm.items()}
        peaks["fp32"] = max(peaks["fp32"], convolution_peak)
        on_cpu = self.identity["device"] == "cpu"
        return Device(
            id=LOCAL if on_cpu else f"{LOCAL}:cuda",
            name=name,
            vendor="this machine",
            kind="CPU" if on_cpu else "GPU",
            year=int(self.date[:4]),
            confidence="measured",
            sources=(Source(source),),
            memory_gib=self.memory_bytes / 2**30,
            bandwidth_bytes_per_s=max(rate for size, rate in self.bandwidth if size >= _BEYOND_CACHE),
            peak_ops_per_s=peaks,
            vector_precisions=("bf16", "fp16") if on_cpu else (),
        )

    @property
    def source(self) -> str:
        """The measurement behind the estimate, in one line."""
        return (
            "operator by operator: rates of products, convolutions and memory measured here on "
            f"{self.date} by size, and {self.floor_s * 1e6:.3g} µs an operator"
        )

    @property
    def launch_s(self) -> float:
        """Zero: the launch of an operator is part of its measured floor."""
        return 0.0

    @property
    def validation(self) -> Validation | None:
        """None: what was measured here are single operators, not models."""
        return None

    @property
    def stands_in(self) -> str:
        """Empty: the rates are this machine's own."""
        return ""

    def parts(self, work: Work, device: Device) -> TimeParts:
        """Return the launch overhead, and the larger of compute and memory time at the rates of the call's size."""
        if not work.is_kernel:
            return TimeParts(0.0, 0.0, 0.0)
        compute_s = work.ops / interpolate(self._curve(work), work.ops) if work.ops else 0.0
        compute_s += work.vector_ops / (device.vector_peak_ops_per_s or float("inf"))
        traffic = work.bytes + work.quantise_bytes
        memory_s = traffic / interpolate(self.bandwidth, traffic) if traffic else 0.0
        if compute_s >= memory_s:
            return TimeParts(compute_s, 0.0, self.floor_s)
        return TimeParts(0.0, memory_s, self.floor_s)

    def _curve(self, work: Work) -> Curve:
        if work.is_depthwise:
            return self.depthwise
        if work.is_convolution:
            return self.convolution
        dtype = next((dtype for dtype, name in _PRECISIONS.items() if name == work.precision), "float32")
        return self.gemm.get(dtype, self.gemm["float32"])


def interpolate(curve: Curve, size: float) -> float:
    """Return the rate at *size*: linear in the logarithm of the size, and constant beyond the ends of the curve.

    Example:
        >>> interpolate(((10.0, 1.0), (1000.0, 3.0)), 100.0)
        2.0
    """
    sizes = [point[0] for point in curve]
    right = bisect_left(sizes, size)
    if right == 0:
        return curve[0][1]
    if right == len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[right - 1], curve[right]
    return y0 + (y1 - y0) * log(size / x0) / log(x1 / x0)


def is_this_machine(name: str) -> bool:
    """Return whether a device name denotes this machine: ``local``, ``local:cuda`` and the like.

    Example:
        >>> is_this_machine("local:cuda"), is_this_machine("l4")
        (True, False)
    """
    return name.partition(":")[0] == LOCAL


def find_device_and_model(name: str) -> tuple[Device, TimeModel | None]:
    """Return the device of a name; for this machine, which is measured, also how to estimate times on it.

    Raises:
        UnknownNameError: No device matches.
        AmbiguousNameError: Several devices match.
        DeviceError: The name is a file that is not a valid device.
        InputError: The name denotes a device that this machine lacks.
    """
    if is_this_machine(name):
        machine = measure_this_machine(name)
        return machine.device, machine
    return find_device(name), None


def measure_this_machine(name: str = LOCAL, *, remeasure: bool = False) -> MeasuredMachine:
    """Return the cached measurement of this machine if it still matches; otherwise measure, and cache the result.

    Args:
        name: ``local`` for the CPU, or ``local:cuda``.
        remeasure: Measure even if there is a cached measurement.

    Raises:
        InputError: This machine has no such device.
    """
    device = _torch_device(name)
    identity = machine_identity(device)
    path = _cache_path(identity)
    cached = None if remeasure else _read_cache(path)
    if cached is not None and cached.identity == identity:
        return cached
    memory_bytes = _memory_bytes(device)
    machine = MeasuredMachine(identity, datetime.now(UTC).date().isoformat(), memory_bytes, **benchmark(device))
    with suppress(OSError, OutputError):  # without the file the next command measures again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(machine), indent=1) + "\n")
    return machine


def machine_identity(device: torch.device) -> dict[str, str]:
    """Return what a measurement depends on: processor, cores, threads and the version of torch."""
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {
        "device": device.type,
        "processor": processor,
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }


def _torch_device(name: str) -> torch.device:
    kind = name.partition(":")[2] or "cpu"
    if kind not in {"cpu", "cuda"} or (kind == "cuda" and not torch.cuda.is_available()):
        msg = f"this machine has no device {name!r}; write local, or local:cuda if it has a CUDA device"
        raise InputError(msg)
    return torch.device(kind)


def _cpu_name() -> str:
    """Return the processor's name from Linux's ``/proc/cpuinfo``, or from Python on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**33


def _cache_path(identity: dict[str, str]) -> Path:
    """Return the file of a measurement in the user's cache folder; there is one per kind of device."""
    return cache_folder() / f"local-{identity['device']}.json"


def _read_cache(path: Path) -> MeasuredMachine | None:
    """Return the cached measurement; None if there is none, or if it cannot be used, as that of another version."""
    try:
        text = read_json_text(path, InputError, "a measurement")
        parse_json(text, path, InputError)
        machine = TypeAdapter(MeasuredMachine).validate_json(text)
        return machine if _is_usable(machine) else None
    except (InputError, ValidationError):
        return None


def _is_usable(machine: MeasuredMachine) -> bool:
    """Return whether every curve has points, with positive numbers, and whether the device can be made from them."""
    curves = (*machine.gemm.values(), machine.convolution, machine.depthwise, machine.bandwidth)
    if not all(curve and all(min(point) > 0 for point in curve) for curve in curves):
        return False
    try:
        return machine.device.bandwidth_bytes_per_s is not None
    except (KeyError, ValueError, TypeError):
        return False
