"""Find a device by name.

A device has several labels: its id, its name and its aliases. A label is a set of words; so is a query. A query denotes

1. the device with a label that equals it; or else
2. the devices whose labels have all of its words, if one of these has a digit. It may leave out words that do not make
   another part: a memory size, a form factor, a series. "V100" may be any V100; "RTX 2080" is no RTX 2080 Ti.

A word that no label has makes a name unknown: nothing in a name is skipped, except words such as "NVIDIA" and "GPU".
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from profiler.devices.device import Device
from profiler.devices.loader import all_devices, read_devices
from profiler.errors import AmbiguousNameError, DeviceError, UnknownNameError

Words = frozenset[str]

#: The vendors' names and brands, by vendor. They only say whose device is meant: a Tesla M4 is no Apple M4.
_BRANDS = {
    "NVIDIA": "nvidia geforce tesla quadro",
    "AMD": "amd radeon instinct",
    "Intel": "intel",
    "Google": "google",
    "AWS": "aws",
    "Apple": "apple",
    "Qualcomm": "qualcomm",
    "Huawei": "huawei",
    "Rockchip": "rockchip",
    "Horizon Robotics": "horizon",
}
#: Words that are ignored, because no two devices of a vendor differ in them alone.
_NOISE = frozenset(
    "nvidia amd intel google aws apple qualcomm huawei rockchip horizon geforce radeon instinct tesla gpu graphics "
    "corporation r tm chip accelerator edition generation processor cpu developer kit data center".split()
)
#: Words that make another part: a name without them does not denote a device that has them.
_PARTS = frozenset("ti super d gre xt xtx laptop mobile max q mig pro ultra lite plus elite dgx superpod".split())
#: Series that may be left out beside a number only: "4090", but not "Quadro 6000", which is no Quadro RTX 6000.
_SERIES = frozenset(("rtx", "gtx", "rx"))
_MEMORY = re.compile(r"\d+gb?")
_FORM = frozenset("sxm sxm2 sxm3 sxm4 sxm5 sxm6 pcie nvl oam hbm2 hbm2e hbm3 hbm3e".split())
#: What drivers print after the name of a processor.
_CLOCK = re.compile(r"@.*$")
#: Names as people write them without spaces: RTX4090, 4070ti.
_GLUED = (re.compile(r"\b(rtx|gtx|rx)(?=\d)"), re.compile(r"(?<=\d{4})(?=(?:ti|super|xtx|xt|gre)\b)"))
_MAX_NEAR = 6
_MIN_PREFIX = 3


def find_device(name: str) -> Device:
    """Return the device that *name* denotes, or the one in a TOML file.

    Args:
        name: An id, a name or an alias of the catalogue, the name that a driver reports, or a path that ends in
            ``.toml``.

    Raises:
        UnknownNameError: No device matches; the message has the nearest ones.
        AmbiguousNameError: Several devices match; the message lists them.
        DeviceError: The file cannot be read, or does not contain exactly one valid device; or *name* is a list.

    Example:
        >>> find_device("NVIDIA H100 80GB HBM3").id, find_device("jetson-orin-nx").id
        ('h100-sxm5-80gb', 'jetson-orin-nx-16gb')
    """
    if name.endswith(".toml"):
        return _read_single_device(name)
    devices, ids = all_devices(), match(name)
    if len(ids) == 1:
        return devices[ids[0]]
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and all(map(match, parts)):
        msg = f"{name!r} names {len(parts)} devices, and only one is taken at a time; run it again for each of them"
        raise DeviceError(msg)
    kind = "device"
    if ids:
        raise AmbiguousNameError(kind, name, ids)
    raise UnknownNameError(kind, name, devices, near=_near(name))


def match(name: str) -> list[str]:
    """Return the ids of the catalogue's devices that *name* may denote.

    Example:
        >>> match("L4"), match("H100"), match("RTX 2080")
        (['l4'], ['h100-sxm5-80gb', 'h100-pcie-80gb', 'h100-nvl-94gb'], [])
    """
    query, labels = _words(name), _labels_of(_vendors(name))
    exact = [device_id for device_id, own in labels.items() if query in own]
    if exact or not query:
        return exact
    having = [device_id for device_id, own in labels.items() if query <= frozenset().union(*own)]
    if not any(map(_has_digit, query)):
        return having if len(having) > 1 else []
    is_number = all(_has_digit(word) or word in _PARTS or word in _SERIES for word in query)
    required = _PARTS if is_number else _PARTS | _SERIES
    return [i for i in having if any(_is_same_part(label - query, required) for label in labels[i])]


def _read_single_device(path: str) -> Device:
    devices = read_devices(Path(path))
    if len(devices) > 1:
        msg = f"{path} contains {len(devices)} devices, {', '.join(devices)}; write the one to use in a file of its own"
        raise DeviceError(msg)
    return next(iter(devices.values()))


def _is_same_part(omitted: Words, required: Words) -> bool:
    """Return whether a name without these words of a label may denote the same part."""
    return not any(
        word in required or (_has_digit(word) and word not in _FORM and not _MEMORY.fullmatch(word)) for word in omitted
    )


def _near(name: str) -> list[str]:
    """Return the ids of which a number begins with one in *name*, or the reverse; else those that are spelled alike."""
    numbers = _numbers([_words(name)])
    ids = [
        device_id
        for device_id, own in _labels().items()
        if any(
            word.startswith(n) or (len(word) >= _MIN_PREFIX and n.startswith(word))
            for n in numbers
            for word in _numbers(own)
        )
    ]
    return ids[:_MAX_NEAR] or get_close_matches(name.lower().replace(" ", "-"), all_devices(), n=3)


def _numbers(labels: list[Words]) -> Words:
    """Return the model numbers in labels: words with a digit, of two characters or more, that are no memory size."""
    words = frozenset().union(*labels)
    return frozenset(w for w in words if _has_digit(w) and len(w) > 1 and not _MEMORY.fullmatch(w))


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))


@cache
def _labels() -> dict[str, list[Words]]:
    """Return the labels of each device, by id."""
    return {
        device_id: [_words(label) for label in (device_id, device.name, *device.aliases)]
        for device_id, device in all_devices().items()
    }


def _labels_of(vendors: frozenset[str]) -> dict[str, list[Words]]:
    """Return the labels of the devices of these vendors; of all devices if there are none."""
    devices = all_devices()
    return {i: own for i, own in _labels().items() if not vendors or devices[i].vendor in vendors}


def _vendors(name: str) -> frozenset[str]:
    """Return the vendors that a name mentions, by their own name or a brand."""
    words = set(re.findall(r"[a-z]+", name.lower()))
    return frozenset(vendor for vendor, brands in _BRANDS.items() if words & set(brands.split()))


def _words(name: str) -> Words:
    """Split a name into lower-case words, without those that do not distinguish devices."""
    text = _CLOCK.sub("", name.lower()).replace("+", "plus")
    for glued in _GLUED:
        text = glued.sub(lambda found: f"{found.group()} ", text)
    return frozenset(re.findall(r"[a-z0-9.]+", text)) - _NOISE
