"""Which chip: a profile projected onto every device that has the precision, sorted by the rate that it sustains."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.errors import DeviceError, InputError
from profiler.projection.demand import Demand
from profiler.projection.device_pass import ProfileWork
from profiler.projection.precision import choose_precision
from profiler.projection.project import project_pass
from profiler.util.text_files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.tally import Profile
    from profiler.values.projection import Projection

_PRICE_HINT = "a CSV file with the columns device and price"
_MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class RankedDevice:
    """A device with the projection of the profile onto it."""

    device: Device
    projection: Projection
    #: Why the range of the estimate may not hold.
    caveats: tuple[str, ...]
    #: As given by the user; None if there is none.
    price: float | None = None

    @property
    def passes_per_s(self) -> float:
        """The estimated largest rate."""
        return float(self.projection.max_fps.value)

    @property
    def passes_per_joule(self) -> float | None:
        """Passes for a joule at the rated power; None if the power is unknown."""
        energy = self.projection.energy_j
        return None if energy is None else 1 / float(energy.value)

    @property
    def power_w(self) -> float | None:
        """The rated power."""
        return self.device.power_w

    @property
    def fits_memory(self) -> bool:
        """Whether the model fits the memory of the device, as far as that is known."""
        share = self.projection.memory_share
        return share is None or float(share.value) <= 1

    @property
    def is_validated(self) -> bool:
        """Whether the estimate was held against measurements of this kind of device in this mode and precision."""
        return not self.caveats

    @property
    def holds(self) -> bool:
        """Whether the device sustains the rate at the worst of the estimate's range, and has the memory."""
        if not self.projection.fits:
            return False
        fps, worst = self.projection.fps, self.projection.estimate_high_s or self.projection.estimate_s
        return fps is None or float(worst.value) * float(fps.value) <= 1

    @property
    def may_hold(self) -> bool:
        """Whether the estimate itself, if not the worst of its range, sustains the rate."""
        return self.projection.fits


@dataclass(frozen=True, slots=True)
class Ranking:
    """The devices that have the precision, those that sustain the highest rate first."""

    rows: tuple[RankedDevice, ...]
    #: Ids of the devices that were left out because they lack the precision.
    lacking: tuple[str, ...]
    #: Ids of the devices that were left out because their bandwidth is unknown.
    unknown: tuple[str, ...]

    @property
    def thriftiest(self) -> RankedDevice | None:
        """Of the devices that hold the rate, the one with the least rated power; None if none does."""
        holding = [row for row in self.rows if row.holds and row.power_w is not None]
        return min(holding, key=lambda row: (row.power_w or 0.0, -row.passes_per_s), default=None)

    @property
    def cheapest(self) -> RankedDevice | None:
        """Of the devices that hold the rate, the one with the lowest price; None if none has a price."""
        holding = [row for row in self.rows if row.holds and row.price is not None]
        return min(holding, key=lambda row: (row.price or 0.0, -row.passes_per_s), default=None)


def rank(
    profile: Profile,
    devices: Iterable[Device],
    *,
    precision: str | None = None,
    mode: Mode | None = None,
    fps: float | None = None,
    prices: Mapping[str, float] | None = None,
) -> Ranking:
    """Project a profile onto several devices, and sort them by the rate that each sustains.

    Devices that lack the precision, or whose bandwidth is unknown (their time has no memory traffic in it, and would
    come first for that), are listed apart.

    Args:
        profile: The profile of one pass.
        devices: The devices.
        precision: As for ``project``.
        mode: As for ``project``; by default that of each device.
        fps: Passes per second that a device has to sustain.
        prices: Price by the id of a device.

    Raises:
        PlanError: The rate is out of range.
        UnknownNameError: There is no such precision.

    Example:
        >>> import profiler, torch
        >>> from profiler.devices import find_device
        >>> model = torch.nn.Linear(4096, 4096, device="meta")
        >>> profile = profiler.count(model, torch.empty(64, 4096, device="meta"))
        >>> ranking = rank(profile, map(find_device, ("t4", "l4", "hailo-8")), precision="fp16", fps=30)
        >>> [row.device.id for row in ranking.rows], ranking.thriftiest.device.id, ranking.lacking
        (['l4', 't4'], 't4', ('hailo-8',))
    """
    work, demand = ProfileWork(profile), Demand(fps)
    rows, lacking, unknown = [], [], []
    for device in devices:
        try:
            choose_precision(profile, device, precision)
        except DeviceError:
            lacking.append(device.id)
            continue
        projection, device_pass = project_pass(work, device, demand, precision=precision, mode=mode)
        if device.bandwidth_bytes_per_s is None and device_pass.estimate.high_s is None:
            unknown.append(device.id)
            continue
        rows.append(RankedDevice(device, projection, device_pass.estimate.caveats, (prices or {}).get(device.id)))
    ordered = sorted(rows, key=lambda row: (-row.passes_per_s, row.power_w or 0.0, row.device.id))
    return Ranking(tuple(ordered), tuple(lacking), tuple(unknown))


def read_prices(path: Path) -> dict[str, float]:
    """Read the prices of devices, by id.

    Raises:
        InputError: The file cannot be read, lacks a column, or has a price that is no number.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, InputError, _PRICE_HINT, _MAX_BYTES)))
    try:
        fields, rows = reader.fieldnames or [], [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        msg = f"{path}, line {reader.line_num + 1}: {error}; give {_PRICE_HINT}"
        raise InputError(msg) from error
    missing = [column for column in ("device", "price") if column not in fields]
    if missing:
        msg = f"{path} has no column {' and no column '.join(missing)}; give {_PRICE_HINT}"
        raise InputError(msg)
    prices: dict[str, float] = {}
    for line, row in rows:
        try:
            prices[(row["device"] or "").strip()] = price = float(row["price"] or "")
        except ValueError as error:
            msg = f"{path}, line {line}: the price is {row['price']!r}; write a number"
            raise InputError(msg) from error
        if not 0 <= price < float("inf"):
            msg = f"{path}, line {line}: the price is {price:g}; write a number that is not negative"
            raise InputError(msg)
    return prices
