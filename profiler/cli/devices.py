"""``profiler devices``: list the catalogue of devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit
from profiler.cli.subjects import CATALOGUES, OUTPUT, examples
from profiler.errors import UnknownNameError
from profiler.report.device_catalogue import DEVICE_FORMATS, DeviceList

if TYPE_CHECKING:
    from profiler.devices import Device

    Format = str
else:
    Format = Literal[*DEVICE_FORMATS.names()]


@app.command(
    group=CATALOGUES,
    help_epilogue=examples(
        "profiler devices",
        "profiler devices h100 --format json",
    ),
)
def devices(
    *words: str,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    anew: bool = False,
) -> None:
    """List the devices, or all figures of one.

    A single device that matches is shown with the source of each figure.

    Args:
        words: A name, or a part of one: `h100`, `orin nx`, `NVIDIA`; `local` is this machine.
        format: Output format.
        output: File to write the result to, instead of printing it.
        anew: With `local`: measure this machine again.
    """
    selection = _select(" ".join(words), remeasure=anew)
    is_denoted = len(selection) == 1 and _is_denoted(" ".join(words))
    emit(DEVICE_FORMATS.render(DeviceList(selection, is_denoted), format), output)


def _is_denoted(name: str) -> bool:
    """Return whether a name denotes one device, and is not only a part of its name."""
    from profiler.devices import match
    from profiler.projection.this_machine import is_this_machine

    return is_this_machine(name) or name.endswith(".toml") or len(match(name)) == 1


def _select(name: str, *, remeasure: bool) -> list[Device]:
    """Return the devices that match *name*; all devices if it is empty."""
    from profiler.devices import all_devices, find_device, match
    from profiler.projection.this_machine import is_this_machine, measure_this_machine

    catalogue = all_devices()
    if not name:
        return list(catalogue.values())
    if is_this_machine(name):
        return [measure_this_machine(name, remeasure=remeasure).device]
    if name.endswith(".toml"):
        return [find_device(name)]
    ids = match(name)
    if len(ids) != 1:
        ids += [i for i, device in catalogue.items() if i not in ids and name.lower() in _searchable_text(device)]
    if not ids:
        kind = "device"
        raise UnknownNameError(kind, name, catalogue)
    return [catalogue[i] for i in ids]


def _searchable_text(device: Device) -> str:
    return f"{device.id} {device.name} {device.vendor} {device.kind}".lower()
