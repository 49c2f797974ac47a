"""Classes of devices by where they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from profiler.devices.device import Device

DeviceClass = Literal["edge", "laptop", "desktop", "datacenter", "npu"]
CLASSES: tuple[DeviceClass, ...] = get_args(DeviceClass)
#: Kinds of the catalogue by class. A part for laptops says so itself (``Device.laptop``).
_KINDS: dict[DeviceClass, tuple[str, ...]] = {
    "edge": ("edge SoC", "NPU"),
    "desktop": ("consumer GPU", "workstation GPU", "CPU"),
    "datacenter": ("datacenter GPU", "datacenter NPU", "TPU", "system"),
    "npu": ("NPU", "datacenter NPU"),
}


def is_of_class(device: Device, class_: DeviceClass) -> bool:
    """Return whether a device is of a class.

    Example:
        >>> from profiler.devices import find_device
        >>> is_of_class(find_device("rk3588"), "edge"), is_of_class(find_device("apple-m4"), "edge")
        (True, False)
    """
    if class_ == "laptop" or (device.laptop and class_ != "npu"):
        return device.laptop and class_ == "laptop"
    return device.kind.startswith(_KINDS[class_])
