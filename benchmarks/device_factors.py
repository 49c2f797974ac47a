"""By how much devices differ from the one that a time table was fitted to: ``benchmarks/estimates.py --fit``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from numpy import array, concatenate, exp, log, sqrt
from numpy.linalg import lstsq
from scipy.optimize import least_squares

from profiler.devices import Device, all_devices, find_device
from profiler.projection.fit import Sample, range_of, ratios
from profiler.projection.mode import Mode, Step
from profiler.projection.time_table import CARDS, DeviceKind, TimeTable, chip, overlapped

#: A table of the package: of a kind of device, a mode and a step.
Key = tuple[DeviceKind, Mode, Step]
#: Fewer passes than this tell of their device alone: nothing of classes, and no range is stated.
FEW = 8
#: Part of the passes at batch 1 from which they tell of the host.
_SMALL = 0.1
#: Standard deviation of the logarithm of a measured time ÷ estimate.
_NOISE = 0.1
#: Standard deviation of the logarithm of the factor of kernels, where large batches alone tell of it.
_OF_KERNELS = 0.5


@dataclass(frozen=True)
class Carried:
    """A table on another device: a factor for its work, and one for each of its kernels and their launches."""

    table: TimeTable
    device: Device
    factor: float
    kernel_factor: float
    samples: list[Sample]

    @property
    def launched(self) -> list[Sample]:
        """The passes that wait for the host."""
        return [sample for sample in self.samples if self._parts(sample)[1] > self._parts(sample)[0]]

    @property
    def on_device(self) -> list[Sample]:
        """The passes that wait for the device."""
        return [sample for sample in self.samples if self._parts(sample)[1] <= self._parts(sample)[0]]

    @property
    def small_batches(self) -> int:
        """The number of passes at batch 1."""
        return sum(sample.name.endswith("batch 1") for sample in self.samples)

    @property
    def has_small_batches(self) -> bool:
        """Whether enough passes are at batch 1 to tell of kernels and hosts."""
        return self.small_batches >= _SMALL * len(self.samples)

    def estimates(self, samples: list[Sample]) -> list[float]:
        """Return the estimated time of passes."""
        return [overlapped(*self._parts(sample)) for sample in samples]

    def ratios(self, samples: list[Sample]) -> list[float]:
        """Return measured time ÷ estimate of passes."""
        return ratios(samples, self.estimates(samples))

    def _parts(self, sample: Sample) -> tuple[float, float]:
        table = self.table.slowed(self.factor, self.kernel_factor, self.table.reach(self.device, sample.precision))
        return table.device_and_launch_s(sample.ideals)


@dataclass(frozen=True)
class Fitted:
    """A table that was fitted to one device, and how it fits the others."""

    table: TimeTable
    main: str
    #: By id of the device: the table on it, by all its passes.
    everywhere: dict[str, Carried]
    #: The same of other devices, by their passes on units like those of the main one.
    alike: dict[str, Carried]

    def is_measured(self, device: str) -> bool:
        """Return whether enough passes of another device wait for it, for a factor and a range of its own."""
        return device in self.alike and len(self.alike[device].on_device) >= FEW


def carry(table: TimeTable, device: str, samples: list[Sample]) -> Carried:
    """Find the factors by which a table fits the passes of another device best.

    The factor of kernels is 1 but on GPUs, and near 1 where no passes at batch 1 tell of it.
    """
    measured = log([sample.seconds for sample in samples])
    has_host = table.kind == "GPU"
    start = Carried(table, find_device(device), 1.0, 1.0, samples)
    spread = array([1.0, 1.0 if start.has_small_batches else _OF_KERNELS])

    def carried(p: Any) -> Carried:
        factor, kernel = map(float, exp(p))
        return replace(start, factor=factor, kernel_factor=kernel if has_host else 1.0)

    def residuals(p: Any) -> Any:
        return concatenate([(log(carried(p).estimates(samples)) - measured) / _NOISE, p / spread])

    return carried(least_squares(residuals, [0.0, 0.0], loss="soft_l1").x)


def with_factors(pool: dict[Key, Fitted], *, is_comparable: bool) -> dict[Key, TimeTable]:
    """Return tables with the factors of all devices that any of them was measured on.

    Args:
        pool: Tables of one kind of device.
        is_comparable: Whether devices differ alike in all of them. Then each has the widest range of other devices that
            any table found: each has seen few of them.
    """
    slowness = slowness_of_devices([*pool.values()])
    kernels = {device: factor for one in pool.values() for device, factor in one.table.kernel_factors.items()}
    tables = {key: _with_factors(one, slowness, kernels) for key, one in pool.items()}
    ranges = [table.validation.range_elsewhere for table in tables.values() if table.validation and table.factors]
    if not is_comparable or not ranges:
        return tables
    return {
        key: replace(table, validation=replace(table.validation, range_elsewhere=widest(ranges)))
        for key, table in tables.items()
        if table.validation
    }


def slowness_of_devices(fitted: list[Fitted]) -> dict[str, float]:
    """Return by how much longer each device takes for the same operations and bytes at its own rates.

    Each table tells how its devices differ from the one that it was fitted to. What fits all tables best is the result,
    up to a common factor: the least squares of the logarithms, weighted by the passes that wait for the device.
    """
    devices = sorted({device for one in fitted for device in (one.main, *one.alike)})
    told = [(device, one.main, carried) for one in fitted for device, carried in one.alike.items() if carried.on_device]
    if not told:
        return dict.fromkeys(devices, 1.0)
    weights = sqrt([len(carried.on_device) for _, _, carried in told])
    rows = array([[(name == device) - (name == main) for name in devices] for device, main, _ in told], float)
    logs = log([carried.factor for _, _, carried in told])
    solution = lstsq(rows * weights[:, None], logs * weights)[0]
    return dict(zip(devices, map(float, exp(solution)), strict=True))


def _with_factors(fitted: Fitted, slowness: dict[str, float], kernels: dict[str, float]) -> TimeTable:
    """Return a table with the factors of devices, of their kinds, and the ranges in which their measurements fell."""
    table, main = fitted.table, fitted.main
    relative = {device: slow / slowness[main] for device, slow in slowness.items()}
    own = {device: carried.factor for device, carried in fitted.alike.items() if fitted.is_measured(device)}
    table = replace(table, kernel_factors=kernels | table.kernel_factors)
    of_main = table.validation.ranges[main]
    ranges = {main: of_main} | {
        device: widest([of_main, range_of(fitted.alike[device].ratios(fitted.alike[device].on_device))])
        for device in own
    }
    elsewhere = [of_device for device, of_device in ranges.items() if has_bandwidth(device)]
    elsewhere += _range_of_unseen(fitted, relative)
    validation = replace(table.validation, ranges=ranges, range_elsewhere=widest(elsewhere))
    factors = relative | own | by_kind(relative) if len(relative) > 1 else {}
    return replace(_rounded(replace(table, factors=factors)), validation=validation)


def _range_of_unseen(fitted: Fitted, factors: dict[str, float]) -> list[tuple[float, float]]:
    """Return the range of passes that wait for another device, by a table that knows others of its kind alone."""
    known = {name: factor for name, factor in fitted.table.kernel_factors.items() if name not in fitted.everywhere}
    unseen: list[float] = []
    for device, carried in fitted.everywhere.items():
        if device == fitted.main or not has_bandwidth(device):
            continue
        of_kind = replace(fitted.table, factors=of_other_chips(factors, device), kernel_factors=known, launch_us=0.0)
        tables = {one.precision: of_kind.of_device(find_device(device), one.precision) for one in carried.on_device}
        unseen += [one.seconds / tables[one.precision].pass_seconds(one.ideals) for one in carried.on_device]
    return [range_of(unseen)] if unseen else []


def by_kind(factors: dict[str, float]) -> dict[str, float]:
    """Return the factor of each chip, kind of device, and all cards: the median of the devices of known bandwidth."""
    kinds: defaultdict[str, list[float]] = defaultdict(list)
    for device, factor in factors.items():
        kind = find_device(device).kind
        names = {chip(device), kind, CARDS if kind.endswith(CARDS) else kind} - {device}
        for name in names if has_bandwidth(device) else ():
            kinds[name].append(factor)
    return {name: median(of_name) for name, of_name in sorted(kinds.items())}


def of_other_chips(factors: dict[str, float], device: str) -> dict[str, float]:
    """Return the factors of devices of other chips, and of their kinds."""
    known = all_devices()
    others = {name: factor for name, factor in factors.items() if name in known and chip(name) != chip(device)}
    return others | by_kind(others)


def widest(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the range that holds all others."""
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def is_soc(device: str) -> bool:
    """Return whether the host of a device is on the same chip."""
    return find_device(device).kind == "edge SoC"


def has_bandwidth(device: str) -> bool:
    """Return whether the bandwidth of a device is known."""
    return find_device(device).bandwidth_bytes_per_s is not None


def _rounded(table: TimeTable) -> TimeTable:
    shares = {name: _rounded_to(getattr(table, name), 4) for name in ("compute", "memory")}
    factors = {name: _rounded_to(getattr(table, name), 3) for name in ("factors", "kernel_factors")}
    fixed = {name: round(getattr(table, name), 3) for name in ("kernel_us", "pass_us", "launch_us")}
    return replace(table, **shares, **factors, **fixed)


def _rounded_to(values: dict[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}
