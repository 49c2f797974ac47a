"""The catalogue of devices: peak rates, memory and power, in one TOML file per vendor.

To add a device, add a table to its vendor's file.
"""

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
