"""What chips can do: one TOML file a vendor, and the names that find a device in them.

To add a device, write a table in its vendor's file.
"""

from profiler.devices.device import PRECISIONS, Device, Parts, Precision, Source
from profiler.devices.loader import all_devices, read_devices
from profiler.devices.name_matching import find_device, match

__all__ = [
    "PRECISIONS",
    "Device",
    "Parts",
    "Precision",
    "Source",
    "all_devices",
    "find_device",
    "match",
    "read_devices",
]
