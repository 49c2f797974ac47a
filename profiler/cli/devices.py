"""``profiler devices``: what the catalogue of devices holds."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from profiler.cli.app import app
from profiler.devices import all_devices, find_device, match
from profiler.errors import UnknownNameError
from profiler.projection.this_machine import local
from profiler.report.device_catalogue import sheet, table

if TYPE_CHECKING:
    from profiler.devices import Device


@app.command
def devices(*words: str, format: Literal["text", "json"] = "text", anew: bool = False) -> None:
    """List the devices: all of them, those that match, or everything about the one that a name finds.

    Args:
        words: A name, or a part of one: `h100`, `orin nx`, `NVIDIA`; `local` is this machine.
        format: How to write it: text or json.
        anew: With `local`: measure this machine again.
    """
    found = _select(" ".join(words), anew=anew)
    if format == "json":
        sys.stdout.write(json.dumps({"devices": [_plain(device) for device in found]}, indent=1) + "\n")
    elif len(found) == 1:
        sys.stdout.write(sheet(found[0]))
    else:
        sys.stdout.write(table(found))


def _select(name: str, *, anew: bool) -> list[Device]:
    """Choose the devices of a name; without one, all."""
    known = all_devices()
    if not name:
        return list(known.values())
    if name.partition(":")[0] == "local":
        return [local(name, anew=anew).device]
    if name.endswith(".toml"):
        return [find_device(name)]
    found = match(name)
    if len(found) != 1:
        wanted = name.lower()
        found += [
            i for i, d in known.items() if wanted in f"{i} {d.name} {d.vendor} {d.kind}".lower() and i not in found
        ]
    if not found:
        kind = "device"
        raise UnknownNameError(kind, name, known)
    return [known[i] for i in found]


def _plain(device: Device) -> dict[str, Any]:
    """Give an entry as JSON: what is not known is left out."""
    row = {key: value for key, value in asdict(device).items() if value not in (None, (), {}, "")}
    return row | {"source": "; ".join(source.title for source in device.sources), "memory_bytes": device.memory_bytes}
