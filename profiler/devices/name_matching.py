"""Find a device by name.

A device has several labels: its id, its name and its aliases. A label is a sequence of words. A query matches, in this
order of precedence:

1. the devices with a label that equals the query;
2. the devices whose labels together contain every word of the query;
3. the devices with the longest label that is part of the query, if the other words of the query do not denote another
   variant: "8 × NVIDIA L40S, rev. b" is an L40S, but "RTX 4090 Laptop" is not an RTX 4090.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from profiler.devices.device import Device
from profiler.devices.loader import all_devices, read_devices
from profiler.errors import AmbiguousNameError, DeviceError, UnknownNameError

Words = tuple[str, ...]

#: Words that are ignored, because they do not distinguish devices.
_NOISE = frozenset(
    "nvidia amd intel google aws apple qualcomm huawei rockchip horizon geforce radeon instinct tesla gpu graphics "
    "corporation r tm chip accelerator edition generation".split()
)
#: Words that denote another variant when they are added to a device's name, even if the catalogue lacks that variant.
_VARIANTS = frozenset(
    "laptop mobile max q ti super d gre mig xt xtx embedded lite plus ultra pro "
    "ada blackwell sxm sxm2 sxm3 sxm4 sxm5 pcie nvl cnx hbm2e hbm3e".split()
)
_MEMORY = re.compile(r"\d+gb?|\dg\.\d+gb")


def find_device(name: str) -> Device:
    """Return the device that *name* denotes, or the one in a TOML file.

    Args:
        name: An id, a name or an alias of the catalogue, the name that a driver reports, or a path that ends in
            ``.toml``.

    Raises:
        UnknownNameError: No device matches.
        AmbiguousNameError: Several devices match; the message lists them.
        DeviceError: The file cannot be read, or does not contain exactly one valid device.

    Example:
        >>> find_device("NVIDIA H100 80GB HBM3").id, find_device("jetson-orin-nx").id
        ('h100-sxm5-80gb', 'jetson-orin-nx-16gb')
    """
    if name.endswith(".toml"):
        return _read_single_device(name)
    devices, ids = all_devices(), match(name)
    if len(ids) == 1:
        return devices[ids[0]]
    kind = "device"
    if ids:
        raise AmbiguousNameError(kind, name, ids)
    raise UnknownNameError(kind, name, devices)


def match(name: str) -> list[str]:
    """Return the ids of the catalogue's devices that *name* may denote.

    Example:
        >>> match("L4"), match("H100")
        (['l4'], ['h100-sxm5-80gb', 'h100-pcie-80gb', 'h100-nvl-94gb', 'dgx-h100'])
    """
    query, labels = _words(name), _labels()
    exact = [device_id for device_id, own in labels.items() if query in own]
    if exact or not query:
        return exact
    containing = [device_id for device_id, own in labels.items() if set(query) <= {w for label in own for w in label}]
    return containing or _match_longest_label(query, labels)


def _read_single_device(path: str) -> Device:
    devices = read_devices(Path(path))
    if len(devices) > 1:
        msg = f"{path} contains {len(devices)} devices, {', '.join(devices)}; write the one to use in a file of its own"
        raise DeviceError(msg)
    return next(iter(devices.values()))


def _match_longest_label(query: Words, labels: dict[str, list[Words]]) -> list[str]:
    """Return the ids with the longest label that is part of *query*, unless its other words denote a variant."""
    matches = [(device_id, label) for device_id, own in labels.items() for label in own if _is_sublist(label, query)]
    longest = max((len(label) for _, label in matches), default=0)
    ids = [
        device_id
        for device_id, label in matches
        if len(label) == longest and not any(map(_denotes_variant, set(query) - set(label)))
    ]
    return list(dict.fromkeys(ids))


def _denotes_variant(word: str) -> bool:
    return word in _VARIANTS or _MEMORY.fullmatch(word) is not None


def _is_sublist(label: Words, query: Words) -> bool:
    return any(query[at : at + len(label)] == label for at in range(len(query) - len(label) + 1))


@cache
def _labels() -> dict[str, list[Words]]:
    """Return the labels of each device, by id."""
    return {
        device_id: [_words(label) for label in (device_id, device.name, *device.aliases)]
        for device_id, device in all_devices().items()
    }


def _words(name: str) -> Words:
    """Split a name into lower-case words, without those that do not distinguish devices."""
    words = re.findall(r"[a-z0-9.]+", name.lower().replace("+", "plus"))
    return tuple(word for word in words if word not in _NOISE)
