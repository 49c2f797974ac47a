"""Load the catalogue of devices from its TOML files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from profiler.devices.device import Device, Source
from profiler.errors import DeviceError
from profiler.escaping import quoted
from profiler.util.plain_data import first_problem
from profiler.util.toml_files import read_toml

_FOLDER = Path(__file__).parent
#: Figures of a system that are sums over its devices.
_SUMMED = ("memory_gib", "bandwidth_bytes_per_s")
_SUMMED_TABLES = ("peak_ops_per_s", "sparse_ops_per_s", "vector_ops_per_s", "fp16_sum_ops_per_s", "product_ops_per_s")
#: The most devices of a system.
_MAX_COUNT = 10**6


@cache
def all_devices() -> dict[str, Device]:
    """Return all devices of the catalogue by id, in file order."""
    devices: dict[str, Device] = {}
    for path in sorted(_FOLDER.glob("*.toml")):
        devices |= read_devices(path)
    return devices


def read_devices(path: Path) -> dict[str, Device]:
    """Return the devices of one TOML file by id.

    Raises:
        DeviceError: The file cannot be read, is not TOML, or contains an invalid entry.
    """
    document = read_toml(path, DeviceError, "a TOML file with a table [devices.NAME]")
    vendor, sources = document.get("vendor", ""), _sources(path, document.get("sources", {}))
    tables = document.get("devices")
    if not isinstance(tables, dict) or not tables:
        msg = f"{path.name} contains no devices; add a table [devices.NAME] with the fields of a device"
        raise DeviceError(msg)
    devices: dict[str, Device] = {}
    for name, table in tables.items():
        row = _expand(path, name, table, devices) | {"id": name, "vendor": vendor}
        devices[name] = _device(path, name, row, sources)
    return devices


def _sources(path: Path, table: Any) -> dict[str, Source]:
    try:
        return TypeAdapter(dict[str, Source]).validate_python(table)
    except ValidationError as error:
        msg = f"{path.name}: sources: {first_problem(error)}"
        raise DeviceError(msg) from error


def _expand(path: Path, name: str, table: Any, devices: dict[str, Device]) -> dict[str, Any]:
    """Fill in the figures of a system by summing over its devices; return a single device unchanged."""
    if not isinstance(table, dict):
        msg = f"{path.name}: devices.{name} is not a table; write [devices.{name}]"
        raise DeviceError(msg)
    if "of" not in table:
        return table
    of, count = table["of"], table.get("count")
    part = devices.get(of) if isinstance(of, str) else None
    if part is None or type(count) is not int or not 0 < count <= _MAX_COUNT:
        msg = f"{path.name}: {name} needs a `count` of 1 to {_MAX_COUNT:,} and an `of` that names a device above it"
        raise DeviceError(msg)
    single = {key: getattr(part, key) for key in _SUMMED}
    sums = {key: count * value for key, value in single.items() if value is not None}
    tables = {key: {p: count * rate for p, rate in getattr(part, key).items()} for key in _SUMMED_TABLES}
    not_read = table.get("not_read", [])
    merged = [*part.not_read, *not_read] if isinstance(not_read, list) else not_read  # pydantic reports another type
    return {"kind": f"system of {count} × {part.kind}"} | sums | tables | table | {"not_read": merged}


def _device(path: Path, name: str, row: dict[str, Any], sources: dict[str, Source]) -> Device:
    keys = row.get("sources", [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        msg = f"{path.name}: {name} has the sources {quoted(keys)}; write a list of names of the table [sources]"
        raise DeviceError(msg)
    unknown = [key for key in keys if key not in sources]
    if unknown:
        msg = f"{path.name}: {name} names the source {unknown[0]!r}, which is missing from the table [sources]"
        raise DeviceError(msg)
    try:
        return _adapter().validate_python(row | {"sources": [sources[key] for key in keys]})
    except ValidationError as error:
        msg = f"{path.name}: {name}.{first_problem(error)}"
        raise DeviceError(msg) from error


@cache
def _adapter() -> TypeAdapter[Device]:
    """Return what validates a device: making it takes pydantic longer than the hundred devices together."""
    return TypeAdapter(Device)
