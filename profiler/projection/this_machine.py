"""This machine as a device: measured once, kept with its identity and the date.

Measured are the rates of matrix products by dtype and size, of convolutions (dense and by channel), the bandwidth by
size of the operands, and the least time of an operator. The largest rates are the peaks of ``--on local``; the curves
make the estimate.
"""

from __future__ import annotations

import json
import os
import platform
from bisect import bisect_left
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from profiler.devices import Device, Source
from profiler.errors import InputError
from profiler.projection.microbenchmarks import Curve, benchmark
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from profiler.devices import Precision
    from profiler.projection.work import Work

_PRECISIONS: dict[str, Precision] = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured of a machine, and of which."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    identity: dict[str, str]
    date: str
    memory_bytes: int
    #: Operations per second by operations of one call, by dtype.
    gemm: dict[str, Curve]
    #: The same of convolutions in float32: over all channels, and over each by itself.
    convolution: Curve
    depthwise: Curve
    #: Bytes per second by bytes of one call; the last is beyond every cache.
    bandwidth: Curve
    floor_s: float

    @property
    def device(self) -> Device:
        """The machine as an entry like those of the catalogue."""
        name = f"{self.identity['processor']}, {self.identity['threads']} threads"
        source = f"measured on {name}, torch {self.identity['torch']}, {self.date}"
        convolution = max(rate for _, rate in self.convolution)
        peaks = {_PRECISIONS[dtype]: max(rate for _, rate in curve) for dtype, curve in self.gemm.items()}
        peaks["fp32"] = max(peaks["fp32"], convolution)
        on_cpu = self.identity["device"] == "cpu"
        return Device(
            id="local" if on_cpu else "local:cuda",
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
    def stated(self) -> str:
        """What an estimate from it rests on."""
        return (
            "operator by operator: rates of products, convolutions and memory measured here on "
            f"{self.date} by size, and {self.floor_s * 1e6:.3g} µs an operator"
        )

    def seconds(self, work: Work, device: Device) -> float:
        """Estimate one call: the longer of compute and memory at the rates of its size, after the floor."""
        if not work.is_kernel:
            return 0.0
        compute = work.ops / at(self._curve(work), work.ops) if work.ops else 0.0
        vector = work.vector_ops / (device.vector_peak or float("inf"))
        moved = work.bytes + work.quantise_bytes
        return self.floor_s + max(compute + vector, moved / at(self.bandwidth, moved) if moved else 0.0)

    def _curve(self, work: Work) -> Curve:
        if work.is_depthwise:
            return self.depthwise
        if work.is_convolution:
            return self.convolution
        dtype = next((dtype for dtype, name in _PRECISIONS.items() if name == work.precision), "float32")
        return self.gemm.get(dtype, self.gemm["float32"])


#: Bytes of operands that the caches of most processors do not hold. Where they do, the bandwidth is too high, and a
#: bound stays a bound.
_BEYOND_CACHE = 64 * 2**20


def at(curve: Curve, size: float) -> float:
    """Read a curve between its points, straight in the logarithm of the size; beyond its ends it is flat."""
    sizes = [point[0] for point in curve]
    right = bisect_left(sizes, size)
    if right == 0:
        return curve[0][1]
    if right == len(curve):
        return curve[-1][1]
    (x0, y0), (x1, y1) = curve[right - 1], curve[right]
    return y0 + (y1 - y0) * log(size / x0) / log(x1 / x0)


def local(name: str = "local", *, anew: bool = False) -> Machine:
    """Give this machine's measurement: the one that was kept, if it is of this machine as it is, or a new one.

    Raises:
        InputError: There is no such device here.
    """
    device = _device(name)
    identity = identify(device)
    path = _kept(identity)
    found = None if anew else _read(path)
    if found is not None and found.identity == identity:
        return found
    memory = _memory_bytes(device)
    machine = Machine(identity, datetime.now(UTC).date().isoformat(), memory, **benchmark(device))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(machine), indent=1) + "\n")
    return machine


def identify(device: torch.device) -> dict[str, str]:
    """Say what makes a measurement this machine's: processor, cores, threads, torch."""
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    threads = str(torch.get_num_threads())
    cores = str(os.cpu_count())
    return {
        "device": device.type, "processor": processor, "cores": cores, "threads": threads, "torch": torch.__version__
    }  # fmt: skip


def _device(name: str) -> torch.device:
    kind = name.partition(":")[2] or "cpu"
    if kind not in {"cpu", "cuda"} or (kind == "cuda" and not torch.cuda.is_available()):
        msg = f"no device {name!r} to measure here; write local, or local:cuda where there is a CUDA device"
        raise InputError(msg)
    return torch.device(kind)


def _processor() -> str:
    """Name the processor, as Linux does; elsewhere as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**33


def _kept(identity: dict[str, str]) -> Path:
    """Say where a measurement is kept: the user's cache folder, one file a kind of device."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "profiler" / f"local-{identity['device']}.json"


def _read(path: Path) -> Machine | None:
    """Read what was kept; None where nothing was, or nothing that this version reads."""
    try:
        return TypeAdapter(Machine).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
