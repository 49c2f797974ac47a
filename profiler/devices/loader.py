"""Read the vendors' files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from profiler.devices.device import Device
from profiler.errors import DeviceError
from profiler.util.toml_files import read_toml

_FOLDER = Path(__file__).parent
#: What a system has as many times as it has devices.
_SUMMED = ("memory_gib", "bandwidth_bytes_per_s")
_SUMMED_TABLES = ("peak_ops_per_s", "sparse_ops_per_s", "vector_ops_per_s", "fp16_sum_ops_per_s")


@cache
def all_devices() -> dict[str, Device]:
    """Read the whole catalogue, by id, in the order of the files."""
    devices: dict[str, Device] = {}
    for path in sorted(_FOLDER.glob("*.toml")):
        devices |= read_devices(path)
    return devices


def read_devices(path: Path) -> dict[str, Device]:
    """Read one file of devices, by id.

    Raises:
        DeviceError: The file cannot be read, is not TOML, or a table in it is no device.
    """
    document = read_toml(path, DeviceError, "a TOML file with a table [devices.NAME]")
    vendor, sources = document.get("vendor", ""), document.get("sources", {})
    tables = document.get("devices")
    if not isinstance(tables, dict) or not tables:
        msg = f"{path.name} holds no devices; write a table [devices.NAME] with the fields of an entry"
        raise DeviceError(msg)
    rows: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        rows[name] = _expand(path, name, table, rows) | {"id": name, "vendor": vendor}
    return {name: _device(path, name, row, sources) for name, row in rows.items()}


def _expand(path: Path, name: str, table: Any, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Give a system the sums of its devices' figures; leave a device as it is."""
    if not isinstance(table, dict):
        msg = f"{path.name}: {name} is no table of a device"
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
        msg = f"{path.name}: {name} names the source {unknown[0]!r}, which the table [sources] lacks"
        raise DeviceError(msg)
    cited = [sources[key] for key in row.get("sources", ())]
    try:
        return TypeAdapter(Device).validate_python(row | {"sources": cited})
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(str(part) for part in (name, *found["loc"]))
        msg = f"{path.name}: {place}: {found['msg']}"
        raise DeviceError(msg) from error
