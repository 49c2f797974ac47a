"""This machine as a device, for ``--on local``: its rates are measured once, and cached with its identity and the date.

Measured are the rates of matrix products (by dtype and size) and of convolutions (dense and depthwise), the bandwidth
(by size), and the launch overhead of an operator.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from profiler.devices import Device, find_device
from profiler.errors import InputError, OutputError
from profiler.projection.measured_machine import LOCAL, MeasuredMachine, is_usable
from profiler.projection.microbenchmarks import benchmark
from profiler.util.files import write_whole
from profiler.util.json_files import parse_json, read_json_text
from profiler.util.lazy_imports import LazyModule
from profiler.util.user_cache import cache_folder

if TYPE_CHECKING:
    import torch

    from profiler.projection.time_model import TimeModel
else:
    torch = LazyModule("torch")


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
        return machine if is_usable(machine) else None
    except (InputError, ValidationError):
        return None
