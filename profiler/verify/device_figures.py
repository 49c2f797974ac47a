"""Look up figures of the catalogue's devices, by the names that claims use."""

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
    """Return a figure of a device, with its unit.

    Raises:
        UnknownNameError: There is no such device, precision or kind of rate.
        ClaimError: The catalogue does not have the figure for this device.
    """
    device = find_device(measure.device or "")
    kind, _, precision = (measure.figure or "").rpartition(" ")
    value: float | None
    if measure.figure == "memory":
        value = device.memory_bytes
    elif measure.figure == "bandwidth":
        value = device.bandwidth_bytes_per_s
    else:
        value = device.peak(precision) if not kind else _rates(device, kind).get(precision)
    if value is None:
        msg = f"the catalogue has no {measure.figure} of {device.id}"
        raise ClaimError(msg)
    return to_rational(value) * parse_unit(_UNITS.get(measure.figure or "", "OPS"))


def _rates(device: Device, kind: str) -> Mapping[str, float]:
    """Return the rates of a kind other than the dense peaks, by precision."""
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
    """Return the source and the confidence of a device's figure."""
    device = find_device(measure.device or "")
    return f"{device.id} {device.cite((measure.figure or '').rpartition(' ')[2])}"
