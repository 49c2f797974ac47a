"""The figures of the catalogue's devices, as claims name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.devices import find_device
from profiler.errors import ClaimError, UnknownNameError
from profiler.expressions import parse_unit
from profiler.verify.sympy_conversion import to_rational

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import sympy

    from profiler.devices import Device
    from profiler.documents import MeasureSpec

_UNITS = {"bandwidth": "byte/s", "memory": "byte"}


def device_figure(measure: MeasureSpec) -> sympy.Expr:
    """Read a figure of a device."""
    device = find_device(measure.device or "")
    kind, _, precision = (measure.figure or "").rpartition(" ")
    if measure.figure == "memory":
        found: float | None = device.memory_bytes
    elif measure.figure == "bandwidth":
        found = device.bandwidth_bytes_per_s
    else:
        found = device.peak(precision) if not kind else _table(device, kind).get(precision)
    if found is None:
        msg = f"the catalogue has no {measure.figure} of {device.id}"
        raise ClaimError(msg)
    return to_rational(found) * parse_unit(_UNITS.get(measure.figure or "", "OPS"))


def _table(device: Device, kind: str) -> Mapping[str, float]:
    """Give one of the tables of rates beside the dense peaks."""
    tables: dict[str, Mapping[Any, float]] = {
        "sparse": device.sparse_ops_per_s,
        "vector": device.vector_ops_per_s,
        "fp16-sum": device.fp16_sum_ops_per_s,
        "quoted": device.quoted,
    }
    if kind not in tables:
        what = "kind of rate"
        raise UnknownNameError(what, kind, tables)
    return tables[kind]


def source(measure: MeasureSpec) -> str:
    """Say where a device's figure comes from."""
    device = find_device(measure.device or "")
    return f"{device.id} {device.cite((measure.figure or '').rpartition(' ')[2])}"
