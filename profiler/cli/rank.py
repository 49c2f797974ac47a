"""``profiler rank TARGET --fps 30``: every device of the catalogue, sorted by the rate that it sustains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.input_options import DEFAULT_INPUTS, InputOptions
from profiler.cli.name_lists import split_names
from profiler.cli.output import counting, emit, note, working
from profiler.cli.subjects import MODEL, OUTPUT, PLAN, examples
from profiler.devices.device_class import CLASSES, DeviceClass, is_of_class
from profiler.errors import CheckFailedError, InputError
from profiler.report.rankings import RANKING_FORMATS, RankingReport
from profiler.util.quick_imports import import_quickly
from profiler.values.modes import Mode

if TYPE_CHECKING:
    from profiler.devices import Device

    Format = str
else:
    Format = Literal[*RANKING_FORMATS.names()]


@app.command(
    group=PLAN,
    help_epilogue=examples(
        "profiler rank resnet18 --fps 30",
        "profiler rank resnet18 --fps 30 --class edge --max-watts 15",
    ),
)
def rank(
    target: str,
    /,
    *,
    fps: float | None = None,
    precision: str | None = None,
    mode: Mode | None = None,
    device_class: Annotated[DeviceClass | None, Parameter(name="--class")] = None,
    max_watts: float | None = None,
    on: str | None = None,
    prices: Path | None = None,
    batch: Annotated[int | None, Parameter(alias="-b", group=MODEL)] = None,
    inputs: InputOptions = DEFAULT_INPUTS,
    dtype: Annotated[str | None, Parameter(group=MODEL)] = None,
    strict: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Rank the devices of the catalogue for a model.

    Shows time, rate, memory and power, and which devices hold the rate. Systems of several devices are left out unless
    `--on` names them: a pass runs on one device.

    Args:
        target: The model, as for the default command.
        fps: Passes per second that the device has to sustain.
        precision: The precision; see `--precision` of the default command.
        mode: How the model runs: `eager`, `channels_last`, `compiled` or `deployed`; see the default command.
        device_class: Only devices of a class: `edge`, `laptop`, `desktop`, `datacenter` or `npu`.
        max_watts: Only devices with at most this rated power.
        on: Only these devices: names, separated by commas.
        prices: A CSV file with the columns `device` and `price`; adds the cheapest device.
        batch: Batch size.
        inputs: What the model is called with.
        dtype: Floating-point dtype of the model.
        strict: Exit with status 1 if no device holds the rate.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
    """
    import_quickly("torch")
    from profiler.projection.ranking import rank as rank_devices
    from profiler.projection.ranking import read_prices
    from profiler.run.count_target import count_target

    devices = _devices(on, device_class, max_watts)
    known_prices = read_prices(prices) if prices is not None else {}
    with working(f"counting {target}", quiet=quiet):
        profile = count_target(target, specs=inputs.specs, batch=batch, dtype=dtype, notify=partial(note, quiet=quiet))
    with counting("devices ranked", len(devices), quiet=quiet) as bar:
        ranking = rank_devices(profile, bar.over(devices), precision=precision, mode=mode, fps=fps, prices=known_prices)
    emit(RANKING_FORMATS.render(RankingReport(ranking, target, precision, fps, mode, profile), format), output)
    if strict and not any(row.holds for row in ranking.rows):
        msg = "--strict: no device holds the rate"
        raise CheckFailedError(msg)


def _devices(on: str | None, device_class: DeviceClass | None, max_watts: float | None) -> list[Device]:
    """Return the devices to rank: those that are named, or else all that are not systems of several.

    Raises:
        InputError: None is left.
        UnknownNameError: A name of *on* denotes no device.
    """
    from profiler.devices import all_devices, find_device

    singles = [device for device in all_devices().values() if device.count == 1]
    named = [find_device(name) for name in split_names(on)] if on is not None else singles
    devices = [device for device in named if device_class is None or is_of_class(device, device_class)]
    if max_watts is not None:
        devices = [device for device in devices if device.power_w is not None and device.power_w <= max_watts]
    if not devices:
        msg = f"no device is left; the classes are {', '.join(CLASSES)}, and --max-watts leaves out unknown powers"
        raise InputError(msg)
    return devices
