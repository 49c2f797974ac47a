"""The catalogue of devices: peak rates, memory and power, in one TOML file per vendor.

To add a device, add a table to its vendor's file.
"""

from typing import TYPE_CHECKING

from profiler.util.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from profiler.devices.device import PRECISIONS, Device, HardwareParameters, Precision, Source
    from profiler.devices.loader import all_devices, read_devices
    from profiler.devices.name_matching import find_device, match


__all__ = [
    "PRECISIONS",
    "Device",
    "HardwareParameters",
    "Precision",
    "Source",
    "all_devices",
    "find_device",
    "match",
    "read_devices",
]

#: The module that defines each name. The catalogue takes pydantic.
_DEFINED_IN = {
    "Device": "profiler.devices.device",
    "HardwareParameters": "profiler.devices.device",
    "PRECISIONS": "profiler.devices.device",
    "Precision": "profiler.devices.device",
    "Source": "profiler.devices.device",
    "all_devices": "profiler.devices.loader",
    "find_device": "profiler.devices.name_matching",
    "match": "profiler.devices.name_matching",
    "read_devices": "profiler.devices.loader",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _DEFINED_IN)
