"""Find a device by a name: whole words, and never another device in its place.

A device is known by its id, its name and its aliases, each a run of words. What is asked for is the device

1. one of whose labels it is, word for word; or else
2. among whose words all of its own are, if there is only one; or else
3. whose label, the longest first, is in it, where the words around it name nothing: "8 × NVIDIA L40S, rev. b".
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from profiler.devices.device import Device
from profiler.devices.loader import all_devices, read_devices
from profiler.errors import AmbiguousNameError, DeviceError, UnknownNameError

Words = tuple[str, ...]

#: Words that tell no device from another.
_NOISE = frozenset(
    "nvidia amd intel google aws apple qualcomm huawei rockchip horizon geforce radeon instinct tesla gpu graphics "
    "corporation r tm chip accelerator edition generation".split()
)
#: Words that make another device of the one whose name they follow, though no entry has them.
_VARIANTS = frozenset(
    "laptop mobile max q ti super d gre mig xt xtx embedded lite plus ultra pro "
    "ada blackwell sxm sxm2 sxm3 sxm4 sxm5 pcie nvl cnx hbm2e hbm3e".split()
)
_MEMORY = re.compile(r"\d+gb?|\dg\.\d+gb")


def find_device(name: str) -> Device:
    """Find the device of a name, or read it from a TOML file of the user's own.

    Raises:
        UnknownNameError: No device has it.
        AmbiguousNameError: Several have; the message lists them.
        DeviceError: It is a file, and the file holds no device.

    Example:
        >>> find_device("NVIDIA H100 80GB HBM3").id, find_device("jetson-orin-nx").id
        ('h100-sxm5-80gb', 'jetson-orin-nx-16gb')
    """
    if name.endswith(".toml"):
        return _own(name)
    devices, found = all_devices(), match(name)
    if len(found) == 1:
        return devices[found[0]]
    kind = "device"
    if found:
        raise AmbiguousNameError(kind, name, found)
    raise UnknownNameError(kind, name, devices)


def match(name: str) -> list[str]:
    """List the ids of the devices that a name may mean; one, if it is well chosen."""
    asked, labels = _words(name), _labels()
    exact = [i for i, own in labels.items() if asked in own]
    if exact or not asked:
        return exact
    within = [i for i, own in labels.items() if set(asked) <= {word for label in own for word in label}]
    return within or _around(asked, labels)


def _own(path: str) -> Device:
    """Read the one device of a file."""
    devices = read_devices(Path(path))
    if len(devices) > 1:
        msg = f"{path} holds {len(devices)} devices, {', '.join(devices)}; keep the one that you mean"
        raise DeviceError(msg)
    return next(iter(devices.values()))


def _around(asked: Words, labels: dict[str, list[Words]]) -> list[str]:
    """Find the longest label that is in what was asked, if the rest of it names nothing."""
    held = [(len(label), i, label) for i, own in labels.items() for label in own if _is_run(label, asked)]
    longest = max((length for length, _, _ in held), default=0)
    found = []
    for length, i, label in held:
        rest = set(asked) - set(label)
        if length == longest and not any(w in _VARIANTS or _MEMORY.fullmatch(w) for w in rest):
            found.append(i)
    return list(dict.fromkeys(found))


def _is_run(label: Words, asked: Words) -> bool:
    return any(asked[at : at + len(label)] == label for at in range(len(asked) - len(label) + 1))


@cache
def _labels() -> dict[str, list[Words]]:
    return {i: [_words(label) for label in (i, d.name, *d.aliases)] for i, d in all_devices().items()}


def _words(name: str) -> Words:
    words = re.findall(r"[a-z0-9.]+", name.lower().replace("+", "plus"))
    return tuple(word for word in words if word not in _NOISE)
