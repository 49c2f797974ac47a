"""The files of time tables: those of the package, and those that ``profiler calibrate`` writes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from profiler.errors import InputError
from profiler.projection.time_table import DeviceKind, TimeTable
from profiler.util.json_files import parse_json, read_json_text
from profiler.util.plain_data import first_problem

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.mode import Mode, Step

#: The tables of the package: one file each, named ``kind-mode-step.json``.
FOLDER = Path(__file__).with_name("time_tables")
_HINT = "a file that `profiler calibrate` wrote"
_ADAPTER = TypeAdapter(TimeTable)
#: Kinds and modes whose tables stand in for one that does not exist, nearest first.
_KINDS: dict[DeviceKind, tuple[DeviceKind, ...]] = {"GPU": ("GPU",), "CPU": ("CPU", "GPU"), "NPU": ("NPU", "GPU")}
_MODES: dict[Mode, tuple[Mode, ...]] = {
    "eager": ("eager", "compiled"), "channels_last": ("channels_last", "eager", "compiled"),
    "compiled": ("compiled", "eager"), "deployed": ("deployed", "compiled"),
}  # fmt: skip
_STEPS: dict[Step, tuple[Step, ...]] = {"inference": ("inference",), "training": ("training", "inference")}


def time_table(device: Device, mode: Mode, step: Step) -> TimeTable:
    """Return the table of a device in a mode; the nearest one, which says so, if there is none.

    Example:
        >>> from profiler.devices import find_device
        >>> table = time_table(find_device("l4"), "eager", "inference")
        >>> table.kind, table.mode, table.stands_in
        ('GPU', 'eager', '')
    """
    kind = device_kind(device)
    for key in ((k, m, s) for k in _KINDS[kind] for s in _STEPS[step] for m in _MODES[mode]):
        table = packaged_tables().get(key)
        if table is not None:
            break
    else:
        msg = f"the package has no time table for {kind}"
        raise InputError(msg)
    if key == (kind, mode, step):
        return table
    why = f"no measurements of {step} {mode} on a {kind}: the estimate uses those of {key[2]} {key[1]} on a {key[0]}"
    return replace(table, kind=kind, mode=mode, step=step, stands_in=why)


def device_kind(device: Device) -> DeviceKind:
    """Return the kind of a device: an SoC is what its rates are of, its GPU; a system is what it has several of.

    Example:
        >>> from profiler.devices import find_device
        >>> [device_kind(find_device(name)) for name in ("rtx-3090", "apple-m4", "dgx-h100", "rk3588")]
        ['GPU', 'GPU', 'GPU', 'NPU']
    """
    if "GPU" in device.kind or device.kind == "edge SoC":
        return "GPU"
    return "CPU" if "CPU" in device.kind else "NPU"


@cache
def packaged_tables() -> dict[tuple[DeviceKind, Mode, Step], TimeTable]:
    """Return the tables of the package by kind of device, mode and step."""
    tables = [_ADAPTER.validate_json(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]
    return {(table.kind, table.mode, table.step): table for table in tables}


def read_time_table(path: Path) -> TimeTable:
    """Read a table from a file.

    Raises:
        InputError: The file cannot be read, or is not a time table.
    """
    text = read_json_text(path, InputError, _HINT)
    parse_json(text, path, InputError)
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        msg = f"{path} is not a time table: {first_problem(error)}; write {_HINT}"
        raise InputError(msg) from error


def format_time_table(table: TimeTable) -> str:
    """Return the text of a table's file."""
    return _ADAPTER.dump_json(table, indent=1).decode() + "\n"
