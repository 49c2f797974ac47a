"""Devices as text (a table of several, or a data sheet of one), Markdown, CSV and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import table as format_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.devices import Device
    from profiler.report.tables import Side

_COLUMNS: dict[str, Side] = {
    "device": "left", "GiB": "right", "GB/s": "right", "fp32": "right", "16 bit": "right", "int8": "right",
    "W": "right", "confidence": "left",
}  # fmt: skip


_FIELDS = ("id", "name", "vendor", "kind", "year", "memory_bytes", "bandwidth_bytes_per_s", "power_w")
_FOOTER = "{} devices; dense peaks in TOPS; `devices NAME` shows one device in full"


@dataclass(frozen=True, slots=True)
class DeviceList:
    """Devices, and whether a name denotes the only one of them, which is then shown in full."""

    devices: Sequence[Device]
    is_denoted: bool = False


DEVICE_FORMATS: Formats[DeviceList] = Formats()


@DEVICE_FORMATS.register("text")
def to_text(selection: DeviceList) -> str:
    """Write the data sheet of the only device, or a table of several."""
    return sheet(selection.devices[0]) if selection.is_denoted else table(selection.devices)


@DEVICE_FORMATS.register("markdown")
def to_markdown(selection: DeviceList) -> str:
    """Write a row a device."""
    return page(markdown_table(_COLUMNS, map(_row, selection.devices)), _FOOTER.format(len(selection.devices)))


@DEVICE_FORMATS.register("csv")
def to_csv(selection: DeviceList) -> str:
    """Write a line a device, in base units; the dense peaks are a column for each precision."""
    devices = selection.devices
    precisions = list(dict.fromkeys(precision for device in devices for precision in device.peak_ops_per_s))
    columns = [*_FIELDS, *(f"peak_{precision}_ops_per_s" for precision in precisions), "confidence", "source"]
    rows = [
        [
            *(getattr(device, name) for name in _FIELDS),
            *(device.peak_ops_per_s.get(precision) for precision in precisions),
            device.confidence,
            _source(device),
        ]
        for device in devices
    ]
    return csv_table(columns, rows)


@DEVICE_FORMATS.register("json")
def to_json(selection: DeviceList) -> str:
    """Write every figure of every device."""
    return json.dumps({"devices": list(map(_to_dict, selection.devices))}, indent=1) + "\n"


def _to_dict(device: Device) -> dict[str, Any]:
    """Return the JSON form of a device, without empty fields."""
    row = {key: value for key, value in asdict(device).items() if value not in (None, (), {}, "")}
    return row | {"source": _source(device), "memory_bytes": device.memory_bytes}


def _source(device: Device) -> str:
    return "; ".join(source.title for source in device.sources)


def table(devices: Sequence[Device]) -> str:
    """Format devices as a table, one per line, with their dense peaks in TOPS."""
    rows = [_row(device) for device in devices]
    longest = max((len(device.id) for device in devices), default=0)  # an id is copied, so it is never cut
    return f"{format_table(_COLUMNS, rows, narrowest=longest)}\n\n{_FOOTER.format(len(rows))}\n"


def sheet(device: Device) -> str:
    """Format all figures of a device, with their confidence and sources."""
    lines = [f"{device.id}: {device.name}, {device.kind}, {device.year}"]
    if device.memory_gib:
        lines.append(f"memory     {device.memory_gib:g} GiB")
    if device.bandwidth_bytes_per_s:
        lines.append(f"bandwidth  {units.count(round(device.bandwidth_bytes_per_s), 'B/s')}")
    if device.power_w:
        lines.append(f"power      {device.power_w:g} W")
    rates = {
        "dense": device.peak_ops_per_s, "fp16 sums": device.fp16_sum_ops_per_s, "sparse": device.sparse_ops_per_s,
        "vector": device.vector_ops_per_s, "product": device.product_ops_per_s,
    }  # fmt: skip
    for kind, peaks in rates.items():
        lines += [_rate_line(kind, precision, rate, device) for precision, rate in peaks.items()]
    lines += ["", *_source_lines(device)]
    return "\n".join(lines) + "\n"


def _rate_line(kind: str, precision: str, rate: float, device: Device) -> str:
    ridge = device.ridge_ops_per_byte(precision) if kind == "dense" else None
    more = f", ridge {ridge:.0f} op/byte" if ridge else ""
    if kind == "product":
        more = f", the fastest measured: {rate / device.peak(precision):.0%} of the dense rate"
    mark = " (not read in a source)" if {precision, "all"} & set(device.not_read) else ""
    return f"{kind:10} {precision:12} {units.count(round(rate), 'OPS')}{more}{mark}"


def _source_lines(device: Device) -> list[str]:
    lines = [f"confidence: {device.confidence}"]
    if device.not_read:
        lines.append(f"not read in a source: {', '.join(dict.fromkeys(device.not_read))}")
    lines += [f"source: {s.title}{f', {s.url}' if s.url else ''}" for s in device.sources]
    return [*lines, *([f"note: {device.note}"] if device.note else [])]


def _row(device: Device) -> tuple[str, ...]:
    peaks = dict(device.peak_ops_per_s)
    rates = (peaks.get("fp32"), peaks.get("bf16") or peaks.get("fp16"), peaks.get("int8"))
    memory = f"{device.memory_gib:g}" if device.memory_gib else ""
    bandwidth = f"{device.bandwidth_bytes_per_s / 1e9:.4g}" if device.bandwidth_bytes_per_s else ""
    power = f"{device.power_w:g}" if device.power_w else ""
    tops = (f"{rate / 1e12:.4g}" if rate else "" for rate in rates)
    return (device.id, memory, bandwidth, *tops, power, device.confidence)
