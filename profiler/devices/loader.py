"""Load the catalogue of devices from its TOML files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from profiler.devices.device import Device
from profiler.errors import DeviceError
from profiler.util.toml_files import read_toml

_FOLDER = Path(__file__).parent
#: Figures of a system that are sums over its devices.
_SUMMED = ("memory_gib", "bandwidth_bytes_per_s")
_SUMMED_TABLES = ("peak_ops_per_s", "sparse_ops_per_s", "vector_ops_per_s", "fp16_sum_ops_per_s")


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
    vendor, sources = document.get("vendor", ""), document.get("sources", {})
    tables = document.get("devices")
    if not isinstance(tables, dict) or not tables:
        msg = f"{path.name} contains no devices; add a table [devices.NAME] with the fields of a device"
        raise DeviceError(msg)
    rows: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        rows[name] = _expand(path, name, table, rows) | {"id": name, "vendor": vendor}
    return {name: _device(path, name, row, sources) for name, row in rows.items()}


def _expand(path: Path, name: str, table: Any, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Fill in the figures of a system by summing over its devices; return a single device unchanged."""
    if not isinstance(table, dict):
        msg = f"{path.name}: devices.{name} is not a table; write [devices.{name}]"
        raise DeviceError(msg)
    if "of" not in table:
        return table
    part, count = rows.get(table["of"]), table.get("count")
    if part is None or not isinstance(count, int):
        msg = f"{path.name}: {name} needs a `count` and an `of` that names a device above it"
        raise DeviceError(msg)
    sums = {key: count * part[key] for key in _SUMMED if key in part}
    tables = {key: {p: count * rate for p, rate in part[key].items()} for key in _SUMMED_TABLES if key in part}
    not_read = [*part.get("not_read", ()), *table.get("not_read", ())]
    return {"kind": f"system of {count}"} | sums | tables | table | {"not_read": not_read}


def _device(path: Path, name: str, row: dict[str, Any], sources: dict[str, Any]) -> Device:
    unknown = [key for key in row.get("sources", ()) if key not in sources]
    if unknown:
        msg = f"{path.name}: {name} names the source {unknown[0]!r}, which is missing from the table [sources]"
        raise DeviceError(msg)
    cited = [sources[key] for key in row.get("sources", ())]
    try:
        return TypeAdapter(Device).validate_python(row | {"sources": cited})
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in (name, *first["loc"]))
        msg = f"{path.name}: {location}: {first['msg']}"
        raise DeviceError(msg) from error
